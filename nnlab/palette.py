"""The colours of all figures: Okabe & Ito's, which colour-blind readers can tell apart (2008), without the yellow that
is too light for lines on white."""

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
INK, GREY, PAPER = "#22272e", "#8a929c", "#ffffff"
