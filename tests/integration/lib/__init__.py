"""What the integration tests share: namespaces, tunnels, the program under test, traffic."""
