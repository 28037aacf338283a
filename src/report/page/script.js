"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const variants = new Set(all(".legend [data-variant]").map((it) => it.dataset.variant));
  const off = new Set();
  let marked = null;

  // A variant is drawn unless it is switched off, and dimmed while another one is marked.
  const draw = () => {
    for (const mark of all(".mark")) {
      const series = mark.dataset.series;
      if (!variants.has(series)) continue;
      mark.classList.toggle("off", off.has(series));
      mark.classList.toggle("dim", marked !== null && series !== marked);
    }
    for (const row of all("tr[data-variant]")) {
      row.classList.toggle("dim", marked !== null && row.dataset.variant !== marked);
    }
    for (const button of all(".legend button")) {
      button.setAttribute("aria-pressed", String(button.dataset.variant === marked));
    }
  };
  const mark = (variant) => {
    marked = marked === variant ? null : variant;
    draw();
  };
  for (const box of all(".legend input")) {
    box.addEventListener("change", () => {
      if (box.checked) off.delete(box.dataset.variant);
      else off.add(box.dataset.variant);
      draw();
    });
  }
  for (const button of all(".legend button")) {
    button.addEventListener("click", () => mark(button.dataset.variant));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      marked = null;
      draw();
      hide();
    }
  });

  // The words of the nearest point.
  const tip = document.getElementById("tip");
  const hide = () => { tip.style.visibility = "hidden"; };
  const points = (svg) => all(".mark[data-points]:not(.off)", svg).flatMap((mark) =>
    JSON.parse(mark.dataset.points).map(([x, y, text]) => ({ x, y, text, series: mark.dataset.series })));
  const place = (svg, point) => {
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    return { x: box.left + (point.x / view.width) * box.width, y: box.top + (point.y / view.height) * box.height };
  };
  const show = (svg, point) => {
    const at = place(svg, point);
    const named = variants.has(point.series) && !point.text.startsWith(point.series);
    tip.textContent = named ? `${point.series}: ${point.text}` : point.text;
    tip.style.visibility = "visible";
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(4, Math.min(at.x + 12, window.innerWidth - width - 4))}px`;
    tip.style.top = `${at.y - height - 10 < 4 ? at.y + 14 : at.y - height - 10}px`;
  };
  const nearest = (svg, x, y) => {
    let best = null;
    for (const point of points(svg)) {
      const at = place(svg, point);
      const distance = Math.hypot(at.x - x, at.y - y);
      if (best === null || distance < best.distance) best = { point, distance };
    }
    return best !== null && best.distance < 28 ? best.point : null;
  };
  for (const svg of all("figure svg[role=img]")) {
    let number = -1;
    svg.addEventListener("pointermove", (event) => {
      const point = nearest(svg, event.clientX, event.clientY);
      if (point === null) hide();
      else show(svg, point);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("click", (event) => {
      const point = nearest(svg, event.clientX, event.clientY);
      if (point !== null && variants.has(point.series)) mark(point.series);
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const known = points(svg);
      if (known.length === 0) return;
      if (step !== undefined) {
        number = (number + step + known.length) % known.length;
        show(svg, known[number]);
        event.preventDefault();
      } else if (event.key === "Enter" && number >= 0 && variants.has(known[number].series)) {
        mark(known[number].series);
      }
    });
  }

  // Tables: sorted by a column, filtered by a text, copied as CSV.
  const cell = (row, column) => row.cells[column].textContent.trim();
  const value = (text) => {
    const found = /^[<>~]?\s*[-+]?[\d.]+(e[-+]?\d+)?/.exec(text);
    return found === null ? null : Number(found[0].replace(/[<>~\s]/g, ""));
  };
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a !== null && b !== null && a !== b) return a - b;
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    return one.localeCompare(other);
  };
  for (const holder of all(".table")) {
    const table = holder.querySelector("table");
    const body = table.tBodies[0];
    all("thead th", table).forEach((header, column) => {
      header.querySelector("button")?.addEventListener("click", () => {
        const down = header.getAttribute("aria-sort") === "ascending";
        for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((one, other) =>
          (down ? -1 : 1) * compare(cell(one, column), cell(other, column)));
        body.append(...rows);
      });
    });
    holder.querySelector("input")?.addEventListener("input", (event) => {
      const wanted = event.target.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    holder.querySelector(".copy")?.addEventListener("click", async (event) => {
      const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const line = (row) => [...row.cells].map((it) => quote(it.textContent.trim())).join(",");
      const rows = [table.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)];
      const text = `${rows.map(line).join("\n")}\n`;
      const button = event.target;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        // A page opened from a file may not write to the clipboard: the text is selected instead.
        const area = document.createElement("textarea");
        area.value = text;
        document.body.append(area);
        area.select();
        button.textContent = document.execCommand("copy") ? "copied" : "not copied";
        area.remove();
      }
      setTimeout(() => { button.textContent = "copy as CSV"; }, 1500);
    });
  }
  window.addEventListener("beforeprint", () => {
    for (const it of all("details")) it.open = true;
  });
  draw();
})();
