#!/usr/bin/env python3
"""Cuts book/src/fonts/course-mono.woff2, the face of code and tables, out of DejaVu Sans Mono.

    pip install fonttools brotli
    book/theme/cut_font.py DejaVuSansMono.ttf

The letters of the book with their marks are β̃, μ̃, x̂ and their like. In DejaVu Sans Mono the marks have no place over Greek letters: a browser draws
them beside the letter. Here a mark is drawn back over the letter before it, and β̃, whose letter is tall, has a glyph of its own. The license
of the face, in book/src/fonts/LICENSE, allows changes under another name.
"""
import sys
from pathlib import Path

from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

NAME = "Course Mono"
OUT = Path(__file__).resolve().parent.parent / "src/fonts/course-mono.woff2"
# Latin, Greek, punctuation, raised and lowered signs, arrows, operators, boxes, and the marks.
RANGES = [(0x20, 0x17F), (0x2B0, 0x2FF), (0x302, 0x304), (0x370, 0x3FF), (0x1D2C, 0x1D6A), (0x1F70, 0x1FBF), (0x2010, 0x2044)]
RANGES += [(0x2070, 0x209F), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2308, 0x230B), (0x2500, 0x259F)]
RANGES += [(0x25A0, 0x25FF), (0x2713, 0x2717), (0x27E8, 0x27E9)]
MARKS = [0x302, 0x303, 0x304]
# How far a mark is raised over a tall letter, in units of the face.
RAISED = 330


def outline(font, glyph, offset, pen):
    """Draws a glyph, without its parts' names, moved by an offset."""
    glyphs = font.getGlyphSet()
    record = DecomposingRecordingPen(glyphs)
    glyphs[glyph].draw(record)
    record.replay(TransformPen(pen, (1, 0, 0, 1, *offset)))


def place(font, name, glyph, advance):
    """Puts a glyph into the face."""
    font["glyf"][name] = glyph
    glyph.recalcBounds(font["glyf"])
    font["hmtx"][name] = (advance, glyph.xMin)


def main():
    font = TTFont(sys.argv[1])
    options = Options(layout_features=[], hinting=False, name_IDs=["*"], notdef_outline=True)
    subset = Subsetter(options)
    subset.populate(unicodes=[point for first, last in RANGES for point in range(first, last + 1)])
    subset.subset(font)
    letters, width = font.getBestCmap(), font["hmtx"]["x"][0]
    beta, tilde = letters[0x3B2], letters[0x303]

    # Whole letters, ᾱ among them, are made of the marks: they keep them where they are.
    for name in [name for name in font.getGlyphOrder() if font["glyf"][name].isComposite()]:
        pen = TTGlyphPen(None)
        outline(font, name, (0, 0), pen)
        place(font, name, pen.glyph(), font["hmtx"][name][0])

    tall = TTGlyphPen(None)
    outline(font, beta, (0, 0), tall)
    back = [font["glyf"][letters[mark]].xMin >= 0 for mark in MARKS]
    outline(font, tilde, (0 if back[1] else width, RAISED), tall)
    glyphs = [(letters[mark], (-width if drawn_right else 0, 0)) for mark, drawn_right in zip(MARKS, back)]
    for glyph, offset in glyphs:
        pen = TTGlyphPen(None)
        outline(font, glyph, offset, pen)
        place(font, glyph, pen.glyph(), 0)
    font.setGlyphOrder([*font.getGlyphOrder(), "beta_tilde"])
    place(font, "beta_tilde", tall.glyph(), width)
    addOpenTypeFeaturesFromString(font, f"feature ccmp {{ sub {beta} {tilde} by beta_tilde; }} ccmp;")

    for record in font["name"].names:
        if record.nameID in (1, 3, 4, 6, 16):
            record.string = NAME.replace(" ", "") if record.nameID == 6 else NAME
    font.flavor = "woff2"
    OUT.parent.mkdir(exist_ok=True)
    font.save(OUT)
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
