# SPDX-License-Identifier: Apache-2.0
"""What is built: Amaranth components, their named configurations, and Verilog from them.

Of `golden` it may import `format` alone: a circuit computed from the model that checks it would
prove nothing.
"""
