# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An open audio encoder
#
# **Question.** Can parts of pretrained models be turned into an embedding model of sounds and
# texts, and by which of four routes? The source of this section, {cite:t}`xiao2026bootstrapping`,
# starts from multimodal language models that hear already. It trains all of one, prunes its layers,
# trains it on texts alone, or joins one model's audio encoder to another's language model.
#
# **What is run here** are the same routes on small open parts: the frames of Moonshine and YAMNet,
# both frozen, a linear projection, and the body of SmolLM2-135M, whose last hidden states are
# averaged into one vector. Texts go through the same body. Unlike the source's, these parts have
# never met, and the pairs are clips of packages, few by comparison: the routes are comparable with
# each other and with the baselines beside them, and with no published number. This book shows the
# record of the profile `study`. `local` has 463 clips, nearly a quarter of the test pairs, 600 of
# the pairs of texts, the first 6 layers and 3 in place of 30 to 5, a third of the steps,
# batches of 32 and 64 for 8 steps, no ablations, and of section 1 the words alone.

# %% tags=["parameters"]
import os

profile = os.environ.get("GEMB_PROFILE", "local")

# %% tags=["hide-input"]
from gemb import figures, profiles
from gemb.experiments import open_audio_encoder

record = open_audio_encoder.run(profiles.get(profile))

# %% [markdown]
# ## In short
#
# The measure is *cvR@5*: how often a right text (or sound) is among the first five that a sound (or
# text) finds. *Surely*: the 95% interval of the paired difference lies on that side of zero; among
# so many comparisons some do so by luck.

# %% tags=["hide-input"]
figures.audio_findings(record)

# %% [markdown]
# ## Sounds and captions
#
# Three kinds of pairs, reported apart (captions by known and by unknown voices; the means over
# subsets leave out the known, whose captions are new and whose voices are not). Synthetic speech
# is paired with what is said: whoever recognises speech solves it. Captions of Tux Paint's stamps
# are read by volunteers in Danish, Dutch, French, Romanian and Spanish, and in Catalan by a man who
# is in the test alone; Moonshine and MiniLM learnt English, and do not know these languages. Sounds
# of animals, instruments, tools, vehicles, household devices and the like are paired with what
# sounds. The pairs of texts, which *text-only* is trained on, are words with their definitions
# in WordNet, commands in two wordings, and the training captions with sentences around them or in
# English: a stand-in for the source's pairs of sentences that follow from each other.

# %% tags=["hide-input"]
figures.audio_pairs_table(record)

# %% [markdown]
# ## Four routes and what they have to beat
#
# All routes here join the same parts, audio encoders and a language model that never met, which is
# what the source calls module combination; they differ in what is trained after that, and only the
# one that trains at once bears its name, *combined*. Every projection starts from a regression of
# clips' mean frames on the mean embeddings of their captions' words. Routes *full*, *pruned* and
# *text-only* go on from one alignment, which trains it with the language model frozen. *Combined*
# trains all but the audio encoders and the word embeddings at once, without alignment, for as many
# steps as those two stages have together: its language model is trained for longer than theirs. It
# has ten layers or five, and never all thirty, which would take the longest, for one row. To tell
# alignment from longer training, the profile `study` has one more combined model, trained for as
# many steps as theirs are; another takes the last token's state in place of the mean. The baselines
# are asked the same: chance, and one draw of random vectors; the AudioSet classes that YAMNet
# hears, and the words that Moonshine writes down, each as MiniLM reads them; and linear heads on
# the frozen features of YAMNet, Moonshine and MiniLM, which alone of them are trained on the same
# pairs.

# %% tags=["hide-input"]
figures.routes_table(record)

# %% tags=["hide-input"]
figures.parameters_chart(record)

# %% tags=["hide-input"]
figures.routes_by_subset_table(record)

# %% tags=["hide-cell"]
figures.other_metrics_table(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "routes")

# %% [markdown]
# ## How many layers does it take?
#
# The source keeps most of its quality with ten layers and even with five. Here the aligned model
# is cut to its first layers, and then trained, all but audio encoders and word embeddings.

# %% tags=["hide-input"]
figures.pruning_chart(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "layers")

# %% [markdown]
# ## Training on texts alone
#
# In the source a model that is trained on pairs of texts alone retrieves sounds well, as long as it
# is whole; after pruning almost nothing is left.

# %% tags=["hide-input"]
figures.text_only_table(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "texts")

# %% [markdown]
# ## Batch size against steps
#
# In the source batch size makes no meaningful difference in the end: large batches help first and
# can hurt later. Here the pairs are few: after as many steps a larger batch has also seen each of
# them more often.

# %% tags=["hide-input"]
figures.batch_chart(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "batches")

# %% [markdown]
# ## One style of description
#
# A model that is trained on one dataset learns how its captions are written. Each clip here has a
# caption in two styles.

# %% tags=["hide-input"]
figures.styles_table(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "styles")

# %% [markdown]
# ## Differences
#
# Behind the answers above: the same queries asked of two models.

# %% tags=["hide-input"]
figures.gains_table(record)

# %% [markdown]
# ## What it is good for
#
# One space of sounds and texts, and LanceDB to find the nearest in it: nothing is transcribed, and
# nothing is trained for any of these. The same is to be had of any model that `gemb audio train`
# made, with `--model FOLDER`: `gemb audio route FILE`, `gemb audio label FILE` and
# `gemb audio search "text"|FILE FOLDER`.
#
# **Routing.** A home assistant has a dozen tools, each with a sentence that says what it does. A
# spoken command goes to the tool whose sentence is nearest. A command and the sentence share few
# words, so that it takes knowing what words mean: MiniLM learnt that of a billion pairs of texts,
# the models here were shown clips with the words in them.

# %% tags=["hide-input"]
figures.routing_table(record)

# %% tags=["hide-input"]
figures.routing_examples(record)

# %% [markdown]
# **Labelling and search.** A sound gets the nearest caption, and a text or a sound finds the
# nearest sounds. Few sounds are trained on, none of them of a name that is tested. A few of those
# under a Creative Commons licence can be listened to here (`data_manifests/LICENSES.md` names who
# made them), beside a text a clip that it describes; recordings under the GPL are not put on this
# page.

# %% tags=["hide-input"]
figures.labels_table(record)

# %% tags=["hide-input"]
figures.labels_examples(record)

# %% tags=["hide-input"]
figures.searches_table(record)

# %% tags=["hide-input"]
figures.searches_examples(record)

# %% [markdown]
# **On a small machine.**

# %% tags=["hide-input"]
figures.device_table(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "uses")

# %% [markdown]
# ## Back into the study
#
# The best model on validation pairs is an encoder like any other (`open-audio:FOLDER`), so the
# adaptor of section 1 can answer from its vectors.

# %% tags=["hide-input"]
figures.study_table(record)

# %% tags=["hide-input"]
figures.audio_findings(record, "study")

# %% [markdown]
# ## What others report
#
# For orientation alone. The models of the first source were run by mteb; the scores of the second
# are as its article reports them.

# %% tags=["hide-cell"]
figures.published_audio_table(record)

# %% tags=["hide-input"]
figures.published_differences_table(record)

# %% [markdown]
# ## What made these numbers
#
# The minutes are those of the last call and of the trainings that it read back. Frames,
# transcripts and uses that were there from an earlier call do not keep their time, and are not in
# them.

# %% tags=["hide-input"]
figures.provenance_table(record)

# %% [markdown]
# ## Checks
#
# What must hold under every profile; nbval compares this cell's output.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
scores = [s for m in record.models for s in m.scores]
print("baselines:", len(record.of("baseline")), "steps of text-only transfer:",
      len(record.of("step")), "styles:", len(record.of("style")))  # fmt: skip
print(
    "every score inside its interval:",
    all(x.low <= x.value <= x.high for s in scores for x in (s.text_to_audio, s.audio_to_text)),
)
print("the best is a route:", record.best in {m.name for m in record.of("route")})
print(
    "pruning takes parameters away:",
    record.model("text-only, then pruned", "route").parameters
    < record.model("text-only", "route").parameters,
)
