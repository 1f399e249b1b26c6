# SPDX-License-Identifier: Apache-2.0
"""The mechanism of SVG-LLM: drawings as text and back, and a model that cannot see the future."""

import numpy as np
import pytest
import torch
from hif8.analysis.workloads import svg_llm
from hif8.analysis.workloads.harness import Trainer, data
from torch.nn import functional

RECTANGLE = "k 4 6 10 0 0 8 -10 0"


def rectangle(x, y, width, height):
    canvas = np.zeros((svg_llm.CANVAS, svg_llm.CANVAS), bool)
    canvas[y : y + height, x : x + width] = True
    return canvas


@pytest.fixture(scope="module")
def images():
    return data.digits(0).test_images[:100, 0].numpy()


@pytest.fixture(scope="module")
def canvases(images):
    return [svg_llm.draw(image) for image in images]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return svg_llm.Reader()


def test_a_rectangle_is_traced_to_its_path_data():
    text = svg_llm.shorten(svg_llm.trace(rectangle(4, 6, 10, 8)))
    assert text == RECTANGLE


def test_without_blanks_a_drawing_reads_as_an_svg_has_it_and_counts_its_characters():
    text = f"{RECTANGLE} m 2 -6 2 0 w 1 1 2 0"
    assert svg_llm.compact(text) == "k4 6 10 0 0 8-10 0m2-6 2 0w1 1 2 0"
    drawings = svg_llm.Drawings([rectangle(4, 6, 10, 8), rectangle(4, 6, 10, 8)], np.arange(2))
    assert drawings.length == 2 * (len("4 6 10 0 0 8-10 0") + len(svg_llm.END))


def test_a_hole_is_a_path_of_the_other_colour_upon_the_first():
    canvas = rectangle(4, 4, 16, 16) & ~rectangle(8, 8, 8, 8)
    text = svg_llm.shorten(svg_llm.trace(canvas))
    assert [fill for fill, _ in svg_llm.polygons(text)] == ["k", "w"]
    assert np.array_equal(svg_llm.render(text), canvas)


def test_drawings_rendered_from_their_characters_are_the_drawings_again(canvases):
    # Polygons cut the corners of pixels: what differs lies along the outlines.
    for canvas in canvases:
        places = svg_llm.encode(svg_llm.shorten(svg_llm.trace(canvas)))
        found = svg_llm.render(svg_llm.decode(places))
        differs = found ^ canvas
        assert differs.mean() < 0.07
        inner = canvas[1:-1, 1:-1]
        around = [canvas[1 + y : 23 + y, 1 + x : 23 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        deep = np.all([part == inner for part in around], axis=0)
        assert (differs[1:-1, 1:-1] & deep).mean() < 0.005


def test_a_polygon_within_a_path_is_cut_out_of_it():
    text = f"{RECTANGLE} m 2 -6 2 0 0 2 -2 0"
    assert np.array_equal(svg_llm.render(text), rectangle(4, 6, 10, 8) & ~rectangle(6, 8, 2, 2))


def test_an_inverted_drawing_differs_in_its_colours_alone(canvases):
    swap = str.maketrans("kw", "wk")
    for canvas in canvases:
        plain, inverted = (svg_llm.shorten(svg_llm.trace(part)) for part in (canvas, ~canvas))
        assert inverted == plain.translate(swap)


def test_a_rotated_drawing_is_another_one(images, canvases):
    rotated = [svg_llm.draw(image, svg_llm.ANGLE) for image in images]
    differing = [(a ^ b).mean() for a, b in zip(canvases, rotated, strict=True)]
    assert min(differing) > 0.01
    sizes = [b.sum() / a.sum() for a, b in zip(canvases, rotated, strict=True)]
    assert np.median(sizes) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("text", ["", "3 4", "k 3 4 5", "k - 4"])
def test_what_is_no_drawing_is_refused_and_judged_to_be_none(text):
    with pytest.raises(ValueError, match=r"drawing|argument|invalid literal"):
        svg_llm.render(text)
    judge = svg_llm.Judge([rectangle(4, 6, 10, 8)], np.array([7]))
    assert judge(text) == -1
    assert judge(RECTANGLE) == 7


def test_a_text_ends_with_its_digit_after_the_end(canvases):
    drawings = svg_llm.Drawings(canvases[:10], np.arange(10))
    for k, (row, end) in enumerate(zip(drawings.tokens, drawings.ends, strict=True)):
        assert svg_llm.ALPHABET[row[end]] == svg_llm.END
        assert svg_llm.ALPHABET[row[end + 1]] == str(k)
        assert set(row[end + 2 :].tolist()) <= {svg_llm.ALPHABET.index(svg_llm.PAD)}


def test_the_causal_mask_hides_the_future(model):
    tokens = torch.randint(len(svg_llm.ALPHABET), (3, 20))
    changed = tokens.clone()
    changed[:, 12:] = (changed[:, 12:] + 5) % len(svg_llm.ALPHABET)
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :12], after[:, :12])
    assert (before[:, 12:] - after[:, 12:]).abs().amax(dim=-1).min() > 1e-3


def test_losses_are_those_of_the_digit_and_of_the_characters_before_it():
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(2))
    tokens = torch.tensor([[1, 2, 3, 4, 5, 0], [6, 5, 4, 0, 0, 0]])
    ends = torch.tensor([3, 1])
    digit, language = svg_llm.losses(logits, tokens, ends)
    right = [
        functional.cross_entropy(logits[row], tokens[row, 1:], reduction="none") for row in (0, 1)
    ]
    assert torch.isclose(digit, (right[0][3] + right[1][1]) / 2)
    assert torch.isclose(language, torch.cat((right[0][:3], right[1][:1])).mean())


def test_completions_begin_with_half_of_the_drawing_and_go_on_with_the_likeliest(model, canvases):
    drawings = svg_llm.Drawings(canvases[:6], np.zeros(6, int))
    for k, text in enumerate(svg_llm.complete(model, drawings, 6)):
        found = svg_llm.encode(text)
        half = int(drawings.ends[k]) // 2
        assert found[:half] == drawings.tokens[k, :half].tolist()
        assert len(found) > half
        with torch.no_grad():
            logits = model(torch.tensor([found]))[0]
        assert logits[half - 1 : -1].argmax(dim=-1).tolist() == found[half:]


def test_a_step_minimises_the_digit_and_less_so_the_characters():
    trainer = Trainer(3, "fp32", "none", quick=True)
    system = svg_llm.System(trainer)
    rows = system.batches[0]
    tokens, ends = system.training.tokens[rows], system.training.ends[rows]
    with torch.no_grad():
        digit, language = svg_llm.losses(system.model(tokens[:, :-1]), tokens, ends)
    system.step(0)
    assert trainer.losses == [pytest.approx((digit + 0.3 * language).item(), rel=1e-5)]
