"""Laws: formulas over columns of runs with named parameters, units and exact gradients; all that ship, by name."""
