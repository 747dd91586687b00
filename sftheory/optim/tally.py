"""The inner products of a step that its one pass over memory can take along.

A probe sets `optimizer.tally` to an object with

    starts: {id(p): w_0}    the point from which distances are measured, or empty
    few: bool               whether the pairs FEW are enough
    sums: {id(p): (16,)}    filled by the step, in the order of PAIRS
    keep(p)                 called before p moves in a way that sums nothing

and finds None there in every step that nobody looks at.
"""

PAIRS: tuple[tuple[str, str], ...] = (
    ("w", "w"),
    ("dw", "w"),
    ("dw", "dw"),
    ("w.z", "w.z"),
    ("dw.z", "w.z"),
    ("dw.z", "dw.z"),
    ("w.x", "w.x"),
    ("dw.x", "w.x"),
    ("dw.x", "dw.x"),
    ("used", "used"),
    ("dw", "used"),
    ("used", "z-y"),
    ("z-x", "z-x"),
    ("moved", "moved"),
    ("moved.z", "moved.z"),
    ("moved.x", "moved.x"),
)
FEW = {  # norms, which cost next to nothing
    ("w", "w"),
    ("dw", "dw"),
    ("w.z", "w.z"),
    ("w.x", "w.x"),
    ("used", "used"),
}
