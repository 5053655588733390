"""`python -m EmotionGAN.export`: a generator as an ONNX file."""
