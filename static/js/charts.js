// Charts: one script draws all. The figure is JSON beside its box, colors come from the style sheet, and exact values
// come from the table of the same numbers, so that hover and table cannot disagree.
(() => {
  "use strict";

  const CONFIG = { displayModeBar: false, displaylogo: false, responsive: false, scrollZoom: false, doubleClick: "reset" };
  const NARROW = 480;
  const END_LETTER = 6.6; // pixels a letter at a line's end takes
  const probe = document.createElement("span");
  const charts = new Map();

  function token(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function axis(ink, line) {
    return {
      automargin: true,
      zeroline: false,
      linecolor: line,
      linewidth: 1,
      ticks: "",
      ticklabelstandoff: 6,
      tickfont: { size: 12, color: ink },
    };
  }

  function template() {
    document.body.append(probe);
    const family = getComputedStyle(document.body).fontFamily;
    const [ink, ink2, ink3] = [token("ink"), token("ink-2"), token("ink-3")];
    const [line, soft, surface] = [token("line-field"), token("line-soft"), token("surface")];
    probe.remove();
    const clear = "rgba(0,0,0,0)";
    return {
      layout: {
        paper_bgcolor: clear,
        plot_bgcolor: clear,
        font: { family, size: 12, color: ink2 },
        margin: { l: 8, r: 8, t: 14, b: 8, pad: 0 },
        separators: ".,",
        showlegend: false,
        hovermode: "x unified",
        hoverdistance: 40,
        hoverlabel: { bgcolor: surface, bordercolor: line, font: { family, size: 12, color: ink }, align: "left", namelength: -1 },
        xaxis: {
          ...axis(ink3, line),
          showgrid: false,
          showline: true,
          showspikes: true,
          spikemode: "across",
          spikesnap: "hovered data",
          spikecolor: line,
          spikethickness: -1,
          spikedash: "solid",
        },
        yaxis: { ...axis(ink3, line), showgrid: true, gridcolor: soft, gridwidth: 1, showline: false, nticks: 6, fixedrange: true },
        bargap: 0.28,
        dragmode: "zoom",
        selectdirection: "h",
        uirevision: "keep",
        annotationdefaults: { font: { size: 12, color: ink3 }, showarrow: false, bgcolor: surface, borderpad: 1, opacity: 0.9 },
        shapedefaults: { line: { color: ink, width: 1.25, dash: "2px,3px" } },
      },
      data: {
        scatter: [{ line: { width: 1.75 }, marker: { line: { width: 0 } } }],
        bar: [{ marker: { line: { width: 0.8, color: surface } } }],
      },
    };
  }

  // Exact values, as the table writes them; its rows are newest first.
  function readTable(section) {
    const rows = [...section.querySelectorAll("tbody tr")].reverse();
    return rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent));
  }

  // The figure as this box, this theme and this choice of series need it. Names at the ends of lines need room beside
  // the plot and all lines in their places.
  function arranged(chart) {
    const { data, layout } = chart.figure;
    const look = template();
    const narrow = chart.box.clientWidth < NARROW;
    const labelled = !narrow && !chart.hidden.size;
    const notes = (layout.annotations || []).filter((note) => labelled || note.name !== "end");
    const ends = notes.filter((note) => note.name === "end");
    const widest = Math.max(0, ...ends.map((note) => note.text.length));
    for (const note of ends) note.font = { color: look.layout.hoverlabel.font.color };
    return {
      data: data.map((trace, index) => ({ ...trace, visible: !chart.hidden.has(index) })),
      layout: {
        ...layout,
        template: look,
        annotations: notes,
        margin: {
          ...look.layout.margin,
          ...layout.margin,
          ...(ends.length ? { r: 14 + widest * END_LETTER } : {}),
        },
        xaxis: { ...layout.xaxis, nticks: narrow ? 4 : 8 },
        width: chart.box.clientWidth,
        height: chart.box.clientHeight,
      },
    };
  }

  async function draw(chart) {
    if (!chart.box.clientWidth) return; // folded away; drawn when it is shown
    const { data, layout } = arranged(chart);
    await Plotly.react(chart.box, data, layout, CONFIG);
  }

  // A region that refreshes itself keeps the boxes of its charts: the new section takes over what was chosen.
  function takeOver(section, chart, earlier) {
    const hidden = new Set([...earlier.hidden].map((index) => earlier.figure.data[index].name));
    chart.figure.data.forEach((trace, index) => {
      if (hidden.has(trace.name)) chart.hidden.add(index);
    });
    for (const each of section.querySelectorAll("[data-series]")) {
      each.setAttribute("aria-pressed", String(!chart.hidden.has(Number(each.dataset.series))));
    }
    section.classList.toggle("is-table", earlier.isTable);
    section.querySelector("[data-chart-toggle]")?.setAttribute("aria-pressed", String(earlier.isTable));
  }

  function start(section, earlier) {
    const box = section.querySelector("[data-chart-box]");
    if (!box || charts.has(section)) return;
    const figure = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    const exact = readTable(section);
    figure.data.forEach((trace, index) => {
      trace.customdata = exact.map((row) => row[index]);
    });
    const chart = { box, figure, hidden: new Set() };
    if (earlier) takeOver(section, chart, earlier);
    chart.watch = new ResizeObserver(() => draw(chart));
    chart.watch.observe(box);
    charts.set(section, chart);
  }

  function startAll(root) {
    for (const [section, chart] of charts) {
      if (section.isConnected) continue;
      chart.watch.disconnect();
      charts.delete(section);
      const heir = chart.box.closest("[data-chart]");
      if (heir?.isConnected) start(heir, { ...chart, isTable: section.classList.contains("is-table") });
      else Plotly.purge(chart.box);
    }
    if (root.matches?.("[data-chart]")) start(root);
    for (const section of root.querySelectorAll("[data-chart]")) start(section);
  }

  function filter(button, alone) {
    const chart = charts.get(button.closest("[data-chart]"));
    const index = Number(button.dataset.series);
    const all = chart.figure.data.map((_, each) => each);
    if (alone) {
      const isAlone = chart.hidden.size === all.length - 1 && !chart.hidden.has(index);
      chart.hidden = new Set(isAlone ? [] : all.filter((each) => each !== index));
    } else if (!chart.hidden.delete(index)) {
      chart.hidden.add(index);
    }
    for (const each of button.parentElement.querySelectorAll("[data-series]")) {
      each.setAttribute("aria-pressed", String(!chart.hidden.has(Number(each.dataset.series))));
    }
    draw(chart);
  }

  document.addEventListener("click", (event) => {
    const entry = event.target.closest("[data-series]");
    if (entry?.closest("[data-chart]")) {
      filter(entry, event.shiftKey);
      return;
    }
    const toggle = event.target.closest("[data-chart-toggle]");
    if (!toggle) return;
    const shown = toggle.closest("[data-chart]").classList.toggle("is-table");
    toggle.setAttribute("aria-pressed", String(shown));
  });

  document.addEventListener("themechange", () => {
    for (const chart of charts.values()) draw(chart);
  });
  document.addEventListener("htmx:load", (event) => startAll(event.detail.elt));
  startAll(document);
})();
