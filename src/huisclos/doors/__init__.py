"""Flow 2: find the doors left open, prove it without reading a patient, and say how to close them."""
