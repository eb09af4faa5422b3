// Marks what scrolls sideways and has more to its right, where book.css fades its edge, and the code that no line needs to break.
(() => {
    for (const code of document.querySelectorAll(".content :not(pre) > code"))
        if (code.textContent.length < 28) code.classList.add("short");
    const boxes = document.querySelectorAll(".content :is(p:has(> .checkbox-label), pre > code, .table-wrapper, .katex-display)");
    const look = (box) => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    const look_at_all = () => boxes.forEach(look);
    boxes.forEach((box) => box.addEventListener("scroll", () => look(box), { passive: true }));
    look_at_all();
    document.fonts.ready.then(look_at_all);
    for (const change of ["load", "resize"]) addEventListener(change, look_at_all);
    document.addEventListener("toggle", look_at_all, true); // what is folded opens
})();
