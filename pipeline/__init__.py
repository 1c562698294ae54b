"""From a trained Keras model to a measured int8 deployment on an STM32."""

__version__ = "0.1.0"
