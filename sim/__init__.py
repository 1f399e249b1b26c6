# SPDX-License-Identifier: Apache-2.0
"""How RTL is checked against golden: benches, proofs, faults, verdicts."""
