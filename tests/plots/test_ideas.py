"""What single pictures say: that they draw what the chapter means."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import PathPatch

from localbook import plots, tropical
from localbook.errors import ConfigError
from tests.plots import examples as ex
from tests.plots.examples import PICTURES


def drawn(axes):
    """Return the ends of segments, one array (m, 2, 2) for each set of them, and their colours."""
    sets = [patch for patch in axes.patches if type(patch) is PathPatch and not patch.get_fill()]
    return [p.get_path().vertices.reshape(-1, 2, 2) for p in sets], [p.get_ec() for p in sets]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_both_attacks_start_at_the_same_input_and_supporting_lines_are_perpendicular_to_it():
    figure = PICTURES["attack_panels"]()
    left, middle, right = figure.axes
    for axes, end in ((left, ex.ATTACK.moved_point), (middle, ex.ATTACK.point)):
        places = [line.get_xydata()[-1] for line in axes.lines]
        np.testing.assert_array_equal(places, [end, ex.ATTACK.point, end])
    np.testing.assert_array_equal(drawn(middle)[0], [ex.ATTACK.moved_boundary, ex.ATTACK.boundary])
    assert legend(figure) == ["$Z_1$", "$Z_2$"]
    lines = [line.get_xydata() for line in right.lines if len(line.get_xydata()) == 2]
    for ends, touch in zip(lines, ex.ATTACK.touching.values(), strict=True):
        assert (ends[1] - ends[0]) @ ex.ATTACK.point == pytest.approx(0)
        np.testing.assert_allclose(ends.mean(axis=0), touch)


def test_frames_of_a_slider_share_their_axes_and_what_does_not_move():
    attacks = (replace(ex.ATTACK, boundary=c * ex.RAYS) for c in (1, 2))
    for frames in (
        [plots.attack_panels(attack, (-1, 2, -1, 2)) for attack in attacks],
        [plots.zonotope_growth(ex.GENERATORS, ex.GROWN, k) for k in (1, 2, 3)],
        [ex.pruned(shrink) for shrink in (1, 0.5, 0.1)],
    ):
        limits = [[(a.get_xlim(), a.get_ylim()) for a in figure.axes] for figure in frames]
        assert all(each == limits[0] for each in limits)
    (old, new), _ = drawn(ex.pruned(0.1).axes[0])
    np.testing.assert_array_equal(old, ex.RAYS)
    np.testing.assert_allclose(new, 0.1 * ex.RAYS)
    assert legend(ex.pruned()) == ["before", "after", "class 1", "class 2"]


def test_a_method_is_a_point_in_each_panel_and_the_best_are_joined():
    figure = PICTURES["accuracy_against_price"]()
    for axes, label in zip(figure.axes, ("MiB", "time"), strict=True):
        points = {line.get_label(): line for line in axes.lines}
        for method, price in ex.PRICES.items():
            (place,) = points[plots.LOOKS[method].label].get_xydata()
            assert place.tolist() == pytest.approx([price, np.mean(ex.ACCURACY[method])])
        # Plain local learning is cheapest; checkpointing beats the other two at its price.
        assert axes.lines[0].get_xdata().tolist() == [1, 2]
        assert axes.get_xlabel() == label


def test_paths_keep_their_ends_and_stay_inside():
    plane, over_time = PICTURES["paths_and_losses"]().axes
    line = next(line for line in plane.lines if line.get_label() == "plain local learning")
    assert line.get_xdata()[0] == ex.PATH[0, 0]
    assert line.get_ydata().max() <= 6
    assert len(line.get_xdata()) <= 250
    loss = over_time.lines[0]
    assert loss.get_xydata()[-1].tolist() == pytest.approx([0.01 * ex.TIME[-1], ex.LOSS[-1]])


def test_locks_last_to_the_last_pass_and_time_counts_from_the_first_batch_shown():
    for axes, locks in zip(PICTURES["step_timeline"]().axes, ([4, 2], [2, 2]), strict=True):
        assert [bar.get_width() for bars in axes.containers for bar in bars] == locks
    (axes,) = PICTURES["update_timeline"]().axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0, 1000), (1000, 1000), (1000, 1000), (2500, 500)]
    assert [text.get_text() for text in axes.texts] == ["2", "3", "2", "3"]


def test_what_comes_later_is_marked_in_another_colour():
    one, two = PICTURES["dependence"]().axes[:2]
    blue, vermilion = plots.PALETTE["blue"], plots.PALETTE["vermilion"]

    def marks(axes):
        lines = [line for line in axes.lines if line.get_marker() in ("s", "^")]
        return {tuple(line.get_xydata()[0]): line.get_color() for line in lines}

    assert marks(one) == {(1, 1): blue, (2, 2): blue, (2, 1): vermilion}
    assert marks(two) == {(1, 1): blue, (2, 2): blue, (1, 2): blue}
    assert one.yaxis_inverted()


def test_every_head_has_a_panel_with_its_boundary_and_the_one_before():
    figure = PICTURES["boundaries_by_module"]()
    titles = [f"module {k}" for k in (1, 2, 3)]
    assert [axes.get_title() for axes in figure.axes] == [*titles, "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "", "", "two", "", ""]
    heads = [panel for row in ex.HEADS.values() for panel in row]
    for axes, panel in zip(figure.axes, heads, strict=True):
        (zeros, ones, boundary, before), _ = drawn(axes)
        assert len(zeros) == len(ones) == 150
        np.testing.assert_array_equal(boundary, panel.segments)
        np.testing.assert_array_equal(before, panel.before)
        assert (axes.get_xlim(), axes.get_ylim()) == ex.BOX


def test_every_part_is_drawn_in_both_panels_and_named_once():
    figure = PICTURES["hypersurface_and_dual"]()
    for axes, side in zip(figure.axes, (0, 1), strict=True):
        for part, pieces in zip(drawn(axes)[0], ex.PARTS.values(), strict=True):
            np.testing.assert_array_equal(part, pieces[side])
    assert legend(figure) == ["area of ties", "folds", "boundary", "$Z_1$", "$Z_2$"]
    (arrows,) = figure.axes[1].collections  # along the segments
    directions = ex.PARTS["boundary"][0].mean(axis=1)
    np.testing.assert_allclose(directions[:, 0] * arrows.V, directions[:, 1] * arrows.U)
    assert ((directions * np.column_stack([arrows.U, arrows.V])).sum(axis=1) > 0).all()


def test_a_piece_and_its_dual_edge_have_one_colour():
    def colours(axes):
        found = zip(*drawn(axes), strict=True)
        return {tuple(ends.ravel()): colour for sets, colour in found for ends in sets}

    above, below = map(colours, PICTURES["curves_and_duals"]().axes)
    assert len(set(above.values())) == 3
    for ray, side in zip(ex.RAYS, ex.SIDES, strict=True):
        assert above[tuple(ray.ravel())] == below[tuple(side.ravel())]
    twice = np.concatenate([ex.SIDES, ex.SIDES[:, ::-1] + 1])  # parallel, and turned round
    (axes,) = plots.subdivisions({"parallel": twice}, {"A": (ex.TRIANGLE[0], (5, 5))}).axes
    edges = colours(axes)
    for one, other in zip(twice[:3], twice[3:], strict=True):
        assert edges[tuple(one.ravel())] == edges[tuple(other.ravel())]


def test_the_maximum_is_drawn_over_its_monomials():
    left, right = PICTURES["graph_and_lift"]().axes
    assert left.lines[0].get_ydata().tolist() == [0, 0, 1, 2, 3]
    assert left.get_legend().get_texts()[0].get_text() == "maximum"
    assert any(line.get_xdata().tolist() == [0, 1, 2] for line in right.lines)


def test_maps_count_modules_from_one_and_write_each_value():
    first, _ = PICTURES["similarity_maps"]().axes
    found = {(t.get_position(), t.get_text()) for t in first.texts}
    assert found == {((1, 1), "1.0"), ((2, 1), "0.5"), ((1, 2), "0.2"), ((2, 2), "0.0")}
    alpha = first.images[0].get_array()[..., 3]
    assert alpha[0, 0] > alpha[0, 1] > alpha[1, 0] > alpha[1, 1] == 0


def test_every_region_is_drawn_once_and_the_panel_shows_their_box():
    axes = plots.region_panels([ex.REGIONS]).axes[0]
    fills = [patch for patch in axes.patches if patch.get_fill()]
    assert sum(len(patch.get_path().vertices) for patch in fills) == 5 * len(ex.TILES)
    assert len({patch.get_facecolor()[:3] for patch in fills}) == 2  # the signs of the values
    assert len({patch.get_facecolor()[3] for patch in fills}) == 5  # and their size
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))


def test_a_boundary_is_drawn_pair_by_pair_unless_there_are_too_many_pairs():
    (few,), (many,) = (PICTURES[name]().axes for name in ("boundary", "boundary: many classes"))
    pairs = {f"class {one} or {other}" for one, other in ex.FOUND.classes}
    assert set(few.get_legend_handles_labels()[1]) == pairs | {"samples"}
    ends = [p.get_path().vertices for p in few.patches if p.get_linewidth() > 2]
    assert sum(map(len, ends)) == 2 * len(ex.FOUND.segments)
    assert (few.get_xlim(), few.get_ylim()) == ex.WINDOW
    assert len(np.unique(ex.MANY.classes, axis=0)) > 6
    assert many.get_legend_handles_labels()[1] == ["boundary"]


def test_no_boundary_is_said():
    shifts = np.zeros(2), np.array([0.0, 1.0])
    one_class = tropical.ReLUNetwork((np.eye(2), np.zeros((2, 2))), shifts)
    with pytest.raises(ConfigError, match="there is no boundary in this box"):
        plots.boundary(tropical.decision_boundary(one_class, ex.WINDOW))


def test_the_sweep_goes_along_the_generator_and_the_supporting_line_through_the_vertex():
    (swept,), _ = drawn(PICTURES["zonotope_growth"]().axes[1])
    np.testing.assert_allclose(swept[:, 1] - swept[:, 0], [ex.GENERATORS[2]] * len(ex.SQUARE))
    line = PICTURES["support_direction"]().axes[1].lines[0]
    assert set(line.get_ydata()) == {1.0}  # the direction is up, the vertex (1, 1)
