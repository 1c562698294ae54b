"""Register models: what the reference manuals say a write does, and an error for what they forbid."""
