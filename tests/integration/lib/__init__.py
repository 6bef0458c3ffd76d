# SPDX-License-Identifier: BSD-3-Clause
"""What the integration tests share: namespaces, tunnels, the program under test, traffic."""
