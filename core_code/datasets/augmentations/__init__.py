"""Synthetic faces: `plan` lists them, `make` generates and writes them, `store` replaces training faces by them."""
