// Marks what scrolls sideways and has more to its right, where book.css fades its edge, the code that no line needs to break,
// and the plots that would be narrow on a phone at the height of the others.
(() => {
    for (const code of document.querySelectorAll(".content :not(pre) > code"))
        if (code.textContent.length < 28) code.classList.add("short");
    for (const plot of document.querySelectorAll(".content .checkbox-label > img")) {
        const look = () => plot.classList.toggle("tall", plot.naturalWidth < 1.5 * plot.naturalHeight);
        look();
        plot.addEventListener("load", look);
    }
    const boxes = document.querySelectorAll(".content :is(p:has(> .checkbox-label), pre > code, .table-wrapper, .katex-display)");
    const look = (box) => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    const look_at_all = () => boxes.forEach(look);
    boxes.forEach((box) => box.addEventListener("scroll", () => look(box), { passive: true }));
    look_at_all();
    document.fonts.ready.then(look_at_all);
    for (const change of ["load", "resize"]) addEventListener(change, look_at_all);
    document.addEventListener("toggle", look_at_all, true); // what is folded opens
})();
