"""What numba compiles for `h0.py`: Prim's algorithm in two forms, and the pull of the edges at their points.

Each function here makes the one to compile for a metric or a type: with both metrics in one, the sums are not
vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable

from tune_lpc.training.fast.bfloat16 import narrow, value_of
from tune_lpc.training.fast.compiling import Kernel

# Only the order of a sum may change, and a product be fused into it: NaN and infinity keep their meaning.
FAST_MATH = frozenset({"reassoc", "contract", "nsz"})
BLOCK = 32
"""Points of which the nearest to the tree is known together; a multiple of 8."""
HALF_ROUNDOFFS = np.float32(4 * 2**-8)
"""By which share lengths are shortened where their vectors and products are rounded to bfloat16."""


@register_jitable(fastmath=set(FAST_MATH))
def _finish(z: Any, deaths: Any, ends: Any, euclidean: bool) -> None:
    """Sort the edges of a group: z (points, dim), deaths (points - 1), Euclidean ones squared, ends (points - 1, 2)."""
    edges, dim = len(deaths), z.shape[1]
    largest = np.finfo(z.dtype).max
    for edge in range(edges):
        if deaths[edge] == largest:
            # What was put aside before comes back: infinite or NaN.
            death = z.dtype.type(0)
            for k in range(dim):
                step = z[ends[edge, 0], k] - z[ends[edge, 1], k]
                death += step * step if euclidean else abs(step)
            deaths[edge] = death
        if euclidean:
            deaths[edge] = np.sqrt(deaths[edge])
    # Each edge goes to the place that the number of lesser ones tells: no branches to foresee, unlike a sort by swaps.
    # Counted in floating point, which has as many lanes as the deaths, and is exact for so many.
    unsorted, pairs = deaths.copy(), ends.copy()
    none, one = z.dtype.type(0), z.dtype.type(1)
    for edge in range(edges):
        death, lesser = unsorted[edge], none
        for other in unsorted[:edge]:
            lesser += one if other <= death else none
        for other in unsorted[edge + 1 :]:
            lesser += one if other < death else none
        if np.isnan(death):  # these come last
            for place in range(edges):
                lesser += one if not np.isnan(unsorted[place]) or place < edge else none
        place = int(lesser)
        deaths[place], ends[place, 0], ends[place, 1] = death, pairs[edge, 0], pairs[edge, 1]


def _zeros_below(_: Any, flags: Any) -> Any:
    """How many bits lie below the lowest that is set; flags: uint64, not 0."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


zeros_below: Any = intrinsic(_zeros_below)


@register_jitable(fastmath={"reassoc", "nsz", "nnan"})
def _place_of_least(distances: Any) -> int:
    """The first of the places where the distances, none of them NaN, are least; vectorised, as `argmin` is not."""
    least = distances[0]
    for distance in distances:
        least = min(least, distance)
    place = 0
    for other_place in range(len(distances) - 1, -1, -1):
        if distances[other_place] == least:
            place = other_place
    return place


def spanning_trees(euclidean: bool) -> Kernel:
    """Fills deaths (groups, points - 1) and ends (groups, points - 1, 2) from z (groups, points, dim).

    Distances to the newest point of the tree are computed for four waiting points at once: its coordinates are read
    once for the four, and the four sums do not wait for each other.
    """

    def trees(z: Any, deaths: Any, ends: Any) -> None:
        groups, points, dim = z.shape
        zero = z.dtype.type(0)
        largest = np.finfo(z.dtype).max
        waiting = np.zeros(points + 3, np.int64)  # points not in the tree; three more, as the last four may lack some
        fresh = np.empty(points + 3, z.dtype)  # their (squared) distances to the newest point of the tree
        nearest = np.empty(points, z.dtype)  # and to the nearest
        origin = np.empty(points, np.int64)  # which is this one
        for group in range(groups):
            for place in range(points - 1):
                waiting[place], nearest[place] = place + 1, np.inf
            newest = 0
            for edge in range(points - 1):
                left = points - 1 - edge
                start = z[group, newest]
                for place in range(0, left, 4):
                    first, second = z[group, waiting[place]], z[group, waiting[place + 1]]
                    third, fourth = z[group, waiting[place + 2]], z[group, waiting[place + 3]]
                    to_first, to_second, to_third, to_fourth = zero, zero, zero, zero
                    for k in range(dim):
                        step1, step2 = first[k] - start[k], second[k] - start[k]
                        step3, step4 = third[k] - start[k], fourth[k] - start[k]
                        to_first += step1 * step1 if euclidean else abs(step1)
                        to_second += step2 * step2 if euclidean else abs(step2)
                        to_third += step3 * step3 if euclidean else abs(step3)
                        to_fourth += step4 * step4 if euclidean else abs(step4)
                    fresh[place], fresh[place + 1] = to_first, to_second
                    fresh[place + 2], fresh[place + 3] = to_third, to_fourth
                best, chosen = z.dtype.type(np.inf), 0
                for place in range(left):
                    # A point joins the tree once even when its distances overflow or are NaN, so that deaths show it.
                    distance = fresh[place] if fresh[place] <= largest else largest
                    if distance < nearest[place]:
                        nearest[place], origin[place] = distance, newest
                    if nearest[place] < best:
                        best, chosen = nearest[place], place
                newest = waiting[chosen]
                deaths[group, edge], ends[group, edge, 0], ends[group, edge, 1] = best, newest, origin[chosen]
                # The last of the waiting points takes the place of the one that left.
                waiting[chosen], nearest[chosen] = waiting[left - 1], nearest[left - 1]
                origin[chosen] = origin[left - 1]
            _finish(z[group], deaths[group], ends[group], euclidean)

    return trees


def centring(half: bool) -> Kernel:
    """Fills `centred` and `lengths` (groups, points) for `narrowed_trees` from z (groups, points, dim).

    `centred` is z less the middle of its group, or a point near it; where `half`, rounded to bfloat16, as its bits. For
    two of its rows a and b, lengths of a and b less 2 a.b is never more than the squared distance of their points as it
    is computed from differences: all the roundings together (of a, b and their squared lengths, of the product in any
    order of its sum, of the distance) come to less than (4 dim + 14) unit roundoffs of |a|^2 + |b|^2 (Higham, Accuracy
    and Stability of Numerical Algorithms, 2nd edition, equation 3.5), and the lengths are shortened by twice that, and
    by what underflow may take. Rounding a, b and their product to bfloat16 adds three of its unit roundoffs (2^-8) and
    little more; for these the lengths are shortened by four.
    """

    def centre(z: Any, centred: Any, lengths: Any) -> None:
        groups, points, dim = z.shape
        steps = z.dtype.type(4 * (dim + 8))
        kept = 1 - steps * np.finfo(z.dtype).eps - (HALF_ROUNDOFFS if half else 0)
        underflow, most = steps * np.finfo(z.dtype).tiny, np.finfo(z.dtype).max / 8
        middle = np.empty(dim, z.dtype)
        rounded = np.empty((points if half else 0, dim), z.dtype)
        for group in range(groups):
            middle[:] = 0
            for point in range(points):
                for k in range(dim):
                    middle[k] += z[group, point, k]
            for k in range(dim):
                middle[k] /= points
            rows = rounded if half else centred[group]
            for point in range(points):
                length = z.dtype.type(0)
                for k in range(dim):
                    step = z[group, point, k] - middle[k]
                    rows[point, k] = step
                    length += step * step
                # Where more may overflow, or has, nothing is said of the distances.
                lengths[group, point] = length * kept - underflow if length <= most else -np.inf
            if half:
                narrow(rounded, centred[group])

    return centre


def narrowed_trees(half: bool) -> Kernel:
    """As `spanning_trees` for Euclidean distances, with products (groups, points, points), of bfloat16 if `half`.

    Lengths and products bound a squared distance from below. Only where that is less than the distance from the tree
    so far, the distance is computed from differences: about log(points) times a point.
    """

    def trees(z: Any, lengths: Any, products: Any, deaths: Any, ends: Any) -> None:
        groups, points, dim = z.shape
        zero, two, infinity = z.dtype.type(0), z.dtype.type(2), z.dtype.type(np.inf)
        largest, one = np.finfo(z.dtype).max, np.uint64(1)
        blocks = (points + BLOCK - 1) // BLOCK
        nearest = np.empty(points, z.dtype)  # squared distance of a point to the tree, -infinity where it is in it
        waiting = np.empty(blocks * BLOCK, z.dtype)  # the same, infinity where it is in it
        origin = np.empty(points, np.int32)  # to which of its points
        best, chosen = np.empty(blocks, z.dtype), np.zeros(blocks, np.int64)  # the nearest waiting point of each block
        may_be_nearer = np.zeros(blocks * BLOCK, np.uint8)
        eight = may_be_nearer.view(np.uint64)  # of these at once
        listed = np.empty(blocks * BLOCK, np.int64)  # the points that may be nearer
        for group in range(groups):
            length = lengths[group]
            nearest[:], waiting[:], best[:] = infinity, infinity, infinity
            may_be_nearer[:points] = 1
            newest = 0
            nearest[newest] = -infinity
            for edge in range(points - 1):
                start = z[group, newest]
                count = 0
                for place in range(len(eight)):
                    flags = eight[place]
                    while flags != 0:
                        listed[count] = 8 * place + zeros_below(flags) // 8
                        count += 1
                        flags &= flags - one
                for place in range(count):
                    point = listed[place]
                    other = z[group, point]
                    distance = zero
                    for k in range(dim):
                        step = other[k] - start[k]
                        distance += step * step
                    if not distance <= largest:
                        distance = largest  # as in `spanning_trees`
                    if distance < nearest[point]:
                        nearest[point], waiting[point], origin[point] = distance, distance, newest
                        block = point // BLOCK
                        if distance < best[block]:
                            best[block], chosen[block] = distance, point
                block = _place_of_least(best)
                newest = chosen[block]
                deaths[group, edge], ends[group, edge, 0], ends[group, edge, 1] = best[block], newest, origin[newest]
                nearest[newest], waiting[newest] = -infinity, infinity
                first = block * BLOCK
                chosen[block] = first + _place_of_least(waiting[first : first + BLOCK])
                best[block] = waiting[chosen[block]]
                product, here = products[group, newest], length[newest]
                for point in range(points):
                    times = value_of(product[point]) if half else product[point]
                    may_be_nearer[point] = not nearest[point] <= length[point] - two * times + here  # also when NaN
            _finish(z[group], deaths[group], ends[group], True)

    return trees


def pulled_edges(euclidean: bool) -> Kernel:
    """Adds to zeros (groups, points, dim) what each edge pulls at its two points, times its slope."""

    def pull(z: Any, deaths: Any, ends: Any, slopes: Any, gradient: Any) -> None:
        none = z.dtype.type(0)
        for group in range(z.shape[0]):
            for edge in range(deaths.shape[1]):
                death, slope = deaths[group, edge], slopes[group, edge]
                if death == 0:
                    continue
                one, other = z[group, ends[group, edge, 0]], z[group, ends[group, edge, 1]]
                at_one, at_other = gradient[group, ends[group, edge, 0]], gradient[group, ends[group, edge, 1]]
                for k in range(z.shape[2]):
                    step = one[k] - other[k]
                    if euclidean:
                        force = slope * step / death
                    else:
                        # Of a coordinate that is NaN, so is the gradient.
                        force = (slope if step > 0 else none) - (slope if step < 0 else none)
                        force = force if step == step else step
                    at_one[k] += force
                    at_other[k] -= force

    return pull
