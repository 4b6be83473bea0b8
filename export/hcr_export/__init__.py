"""Keras classifier in, verified bundle out."""
