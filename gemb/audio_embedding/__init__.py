"""Audio–text embedding models put together from pretrained parts, and how well they retrieve."""
