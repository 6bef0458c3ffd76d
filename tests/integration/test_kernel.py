"""What depends on the kernel: its own WireGuard, and counting on it. tests/vm/run runs this on other kernels."""
