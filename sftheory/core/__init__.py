"""What everything else is written in: tableaus, trajectories, claims, registries."""
