"""Recipes, the LoRA classifier and the LoRA embedder."""
