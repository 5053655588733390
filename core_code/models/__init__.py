"""The nets: EmotionNet and the table of architectures."""
