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
# # One vector, one virtual token, eight tasks
#
# **Question.** A frozen encoder turns an image or a sound into one vector. A small MLP, the
# adaptor, turns that vector into one virtual token. A frozen language model reads it before a
# text prompt and answers. How much of what a picture shows or a voice says survives?
#
# The study trains one adaptor for each of eight tasks and reports exact match on a held-out
# fifth. Here the same is run on open parts: an encoder that concatenates three small pretrained
# networks, and SmolLM2-135M as the language model. Where the study's data cannot be had without
# an account, **stand-in data** take their place, and every table says so. A stand-in's number is
# never the study's number.

# %% tags=["parameters"]
import os

profile = os.environ.get("GEMB_PROFILE", "local")

# %% tags=["hide-input"]
from gemb import figures, profiles, records
from gemb.experiments import single_task

record = single_task.run(profiles.get(profile))
published = records.published(records.SingleTaskRecord, "single_task")

# %% [markdown]
# ## In short

# %% tags=["hide-input"]
figures.findings(record)

# %% [markdown]
# ## Protocol
#
# Each task's adaptor is `Linear → GELU → Linear`, trained by cross-entropy on the answer's tokens
# and the end of the turn, with every weight of the language model frozen. The epoch kept is the
# one best on validation items. Answers are decoded greedily and count as right if they equal the
# truth after Unicode and case normalisation. The **leak-free** split keeps whole groups apart
# (stamps, speakers, voices, fonts); the protocol of the study that is rerun is a **random fifth**.
# Intervals are 95% bootstrap intervals over groups. The baselines see the same vectors, the same
# training items and the same standardisation, and are tuned on the same validation items.

# %% tags=["hide-input"]
figures.data_table(record)

# %% [markdown]
# ## Results
#
# The four tasks on sounds are asked of another encoder's vectors in
# [section 5](05_open_audio_encoder.ipynb), which makes that encoder.

# %% tags=["hide-input"]
figures.accuracy_chart(record)

# %% tags=["hide-input"]
figures.main_table(record, published)

# %% [markdown]
# ### What does the language model cost?

# %% tags=["hide-input"]
figures.gap_table(record)

# %% tags=["hide-input"]
figures.findings(record, "gap")

# %% [markdown]
# ### How much does a random split flatter?

# %% tags=["hide-input"]
figures.splits_table(record)

# %% [markdown]
# ### What else could explain it?
#
# Some tasks can be answered without understanding the vector's main content: gender from the
# pitch of the voice or from the language spoken (few speakers a language), emotion from the fixed
# phrase of an event. And a real OCR says how readable the rendered words are. In the stand-in data
# the gender of Asterisk's speakers is stated by their package; that of Tux Paint's and KLettres'
# volunteers is **inferred from the median pitch** of all their clips.

# %% tags=["hide-input"]
figures.others_table(record)

# %% tags=["hide-input"]
figures.findings(record, "others")

# %% [markdown]
# ### Reported apart
#
# Words never trained on (*unseen-words*), the few real recordings that are packaged of one of the
# ten words, and the gender of the *synthetic-voices* that say them: clips that the task of words
# is asked about too. (A third of what gender is trained on are such clips.) CER and WER are error
# rates over characters and over words.

# %% tags=["hide-input"]
figures.subsets_table(record)

# %% [markdown]
# ## Controls
#
# Trained on shuffled labels, on random vectors, on one constant vector, asked with another item's
# vector, and asked without any virtual token.

# %% tags=["hide-input"]
figures.controls_table(record)

# %% [markdown]
# The adaptor's last layer starts from a regression to the embeddings of the answers' words. What
# that start does alone, and what the training does without it (in the profile `study`):

# %% tags=["hide-input"]
figures.ablations_table(record)

# %% [markdown]
# ## Learning curves
#
# How many items are trained on was set by what a run may take. Where a curve still rises, more
# would help.

# %% tags=["hide-input"]
figures.curves(record)

# %% [markdown]
# ## Where it goes wrong
#
# The two worst of the tasks with at most 16 answers; a matrix of more cannot be read.

# %% tags=["hide-input"]
figures.confusions(figures.worst(record))

# %% [markdown]
# ## Some items, answered
#
# Nearest are the training items closest by cosine. Confidence is the geometric mean of the
# probabilities of the answer's tokens; it is not calibrated.

# %% tags=["hide-input"]
figures.gallery(record, "clothing")

# %% tags=["hide-input"]
figures.gallery(record, "words")

# %% [markdown]
# ## Time and price

# %% tags=["hide-input"]
figures.cost_table(record)

# %% tags=["hide-input"]
figures.provenance_table(record)

# %% [markdown]
# ## Checks
#
# What must hold under every profile; nbval compares this cell's output.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
checked = record.results
print("tasks recorded:", all(record.has(t) for t in profiles.get(profile).tasks))
print(
    "every score inside its interval:",
    all(m.accuracy.low <= m.accuracy.value <= m.accuracy.high for r in checked for m in r.methods),
)
print(
    "baselines beside the adaptor:",
    all(
        {"majority", "k-NN", "logistic regression"} <= {m.method for m in r.methods}
        for r in checked
    ),
)
print("controls:", sorted({c.method for r in checked for c in r.controls}))
