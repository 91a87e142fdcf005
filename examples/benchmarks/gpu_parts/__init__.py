"""The parts of `gpu.py`, in order of value; what each needs is imported when it runs."""
