# SPDX-License-Identifier: Apache-2.0
"""How RTL is checked against golden: simulators, benches, verdicts.

Imports `golden` and `hdl`.
"""
