"""Exported models beside ONNX Runtime."""
