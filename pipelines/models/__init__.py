"""Models that studies use, trained on a recipe's own text or on files: tokenizers, classifiers, language models."""
