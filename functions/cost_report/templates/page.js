"use strict";
// Two charts of the costs over time. What they show stands in the tables too, which need no script.
(() => {
  const DAY = 86400;
  const MONTH = 30 * DAY; // how uPlot knows that calendar months are meant
  const PRINTED = { width: 680, height: 190 };
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("chart-data").textContent);

  const days = data.rows.map((row) => Date.parse(row[0]) / 1000);
  const column = (index) => data.rows.map((row) => (row[index] === null ? null : Number(row[index])));
  const [cost, expected, low, high] = [1, 2, 3, 4].map(column);
  const level = (amount) => days.map(() => Number(amount));
  const unusual = data.rows.map((row, index) => (data.unusual.includes(row[0]) ? cost[index] : null));

  function sums() {
    const soFar = [];
    const ahead = [];
    let spent = Number(data.before);
    let foreseen = null;
    data.rows.forEach((row, index) => {
      const before = foreseen ?? spent;
      spent += cost[index] ?? 0;
      soFar.push(cost[index] === null ? null : spent);
      foreseen = expected[index] === null ? null : before + expected[index];
      ahead.push(foreseen);
    });
    const first = ahead.findIndex((sum) => sum !== null);
    if (first > 0) ahead[first - 1] = soFar[first - 1]; // so that the line begins where the other ends
    return [soFar, ahead];
  }

  function usd(amount) {
    const size = Math.abs(amount);
    const places = size > 0 && size < 1 ? Math.max(2, 2 - Math.floor(Math.log10(size))) : 2;
    return new Intl.NumberFormat("en-US", {
      style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: Math.min(places, 20),
    }).format(amount);
  }
  function usdTicks(chart, ticks) {
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
    let places = Number.isInteger(step) ? 0 : 2;
    while (places < 12 && Math.abs(step - step.toFixed(places)) > step / 1000) places += 1;
    const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
    return ticks.map((tick) => (tick < 0 ? "\u2212$" : "$") + Math.abs(tick).toLocaleString("en-US", digits));
  }
  const written = (options) => {
    const format = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options });
    return (seconds) => format.format(new Date(seconds * 1000));
  };
  const dayAndMonth = written({ day: "numeric", month: "short" });
  const monthAndYear = written({ month: "short", year: "numeric" });
  const wholeDay = written({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  const dayTicks = (chart, ticks, axis, space, step) => ticks.map(step < MONTH ? dayAndMonth : monthAndYear);

  // Asked for at each drawing, so that a chart follows the reader's colours.
  const colour = (name) => () => getComputedStyle(root).getPropertyValue(name).trim();
  const line = (name, dash, width = 2) => ({ stroke: colour(name), width, dash, points: { show: false } });
  const axis = {
    stroke: colour("--quiet"), font: "12px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 4 },
  };

  const charts = [];
  function draw(id, budget, series, columns, readout, more = {}) {
    const place = document.getElementById(id);
    place.closest("figure").hidden = false;
    const output = document.getElementById(id + "-readout");
    const beyond = document.querySelector(`[data-beyond="${id}"]`);
    const most = Math.max(...columns.flat().filter((one) => one !== null && isFinite(one)), 0);
    const isBeyond = budget !== null && budget > 4 * most; // it would press all else to the ground
    if (beyond) beyond.hidden = !isBeyond;
    if (budget !== null && !isBeyond) {
      series.push(line("--budget", [2, 3]));
      columns.push(level(budget));
    }
    const chart = new uPlot({
      width: place.clientWidth, height: place.clientHeight,
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: { range: () => [days[0] - DAY / 2, days[days.length - 1] + DAY / 2] },
        y: { range: (chart, from, to) => [Math.min(0, from * 1.1), to > 0 ? to * 1.1 : 1] },
      },
      axes: [
        { ...axis, incrs: [1, 2, 4, 7, 14].map((one) => one * DAY).concat([1, 2, 3, 6, 12].map((one) => one * MONTH)), values: dayTicks, space: 60, size: 32 },
        { ...axis, values: usdTicks, size: (chart, ticks) => 20 + 7 * Math.max(4, ...(ticks ?? []).map((one) => one.length)) },
      ],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: colour("--ink"), stroke: colour("--paper") } },
      series: [{}, ...series],
      hooks: { setCursor: [(chart) => { if (chart.cursor.idx != null) output.textContent = readout(chart.cursor.idx); }], ...more.hooks },
      bands: more.bands,
    }, [days, ...columns], place);
    charts.push(chart);
    place.addEventListener("keydown", (event) => move(event, chart));
    new ResizeObserver(() => fit(chart, place.clientWidth)).observe(place);
  }

  function move(event, chart) {
    const last = days.length - 1;
    const at = chart.cursor.idx ?? -1;
    const next = { ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    chart.setCursor({ left: chart.valToPos(days[next], "x"), top: 0 });
  }
  function fit(chart, width) {
    if (width && width !== chart.width && !("printing" in root.dataset)) chart.setSize({ width, height: chart.height });
  }

  const said = (parts) => parts.filter(Boolean).join("; ");
  const sayDay = (index) => wholeDay(days[index]) + ": " + said([
    cost[index] !== null && `${usd(cost[index])}${expected[index] === null ? "" : " so far"}`,
    expected[index] !== null && `expected ${usd(expected[index])}, from ${usd(low[index])} to ${usd(high[index])}`,
    unusual[index] !== null && "unusual",
  ]);
  const [soFar, ahead] = sums();
  const saySum = (index) => wholeDay(days[index]) + ": " + said([
    soFar[index] !== null && `${usd(soFar[index])} so far`,
    expected[index] !== null && `expected ${usd(ahead[index])}`,
    data.end && index === days.length - 1 && `from ${usd(Number(data.end[0]))} to ${usd(Number(data.end[1]))} at the end`,
  ]);

  // Drawn with solid lines by hand; `shape` makes the path.
  function drawn(chart, name, shape) {
    const { ctx } = chart;
    ctx.save();
    ctx.setLineDash([]);
    ctx.strokeStyle = colour(name)();
    ctx.fillStyle = colour("--paper")();
    ctx.lineWidth = 2 * devicePixelRatio;
    shape((path) => { ctx.fill(path); ctx.stroke(path); });
    ctx.restore();
  }
  const place = (chart, index, amount) => [chart.valToPos(days[index], "x", true), chart.valToPos(amount, "y", true)];
  function diamond(left, top) {
    const size = 5 * devicePixelRatio;
    const path = new Path2D();
    path.moveTo(left, top - size);
    path.lineTo(left + size, top);
    path.lineTo(left, top + size);
    path.lineTo(left - size, top);
    path.closePath();
    return path;
  }
  // A bar with a cap at each of `amounts`.
  function range(chart, index, amounts) {
    const path = new Path2D();
    const half = 4 * devicePixelRatio;
    const ends = amounts.map((amount) => place(chart, index, amount));
    for (const [left, top] of ends) {
      path.moveTo(left - half, top);
      path.lineTo(left + half, top);
    }
    path.moveTo(...ends[0]);
    path.lineTo(...ends[ends.length - 1]);
    return path;
  }
  // A line needs two days: where only today is still to come, its forecast is a bar.
  function markToday(chart) {
    const ahead = days.map((day, index) => index).filter((index) => expected[index] !== null);
    if (ahead.length !== 1) return;
    const [index] = ahead;
    drawn(chart, "--forecast", (put) => put(range(chart, index, [low[index], expected[index], high[index]])));
  }
  function markUnusual(chart) {
    drawn(chart, "--ink", (put) => unusual.forEach((amount, index) => {
      if (amount !== null) put(diamond(...place(chart, index, amount)));
    }));
  }
  function markEnd(chart) {
    if (!data.end) return;
    drawn(chart, "--forecast", (put) => put(range(chart, days.length - 1, data.end.map(Number))));
  }

  if (days.length > 1) {
    const budget = data.budget && Number(data.budget[0]);
    const edge = { stroke: colour("--forecast"), width: 0, points: { show: false } };
    draw("daily", budget, [
      { fill: colour("--cost"), stroke: colour("--cost"), width: 0, paths: uPlot.paths.bars({ size: [0.7, 48] }), points: { show: false } },
      edge, edge, line("--forecast", [6, 4]),
    ], [cost, high, low, expected], sayDay, {
      bands: [{ series: [2, 3], fill: colour("--band") }], hooks: { draw: [markToday, markUnusual] },
    });
    const atEnd = (amount) => days.map((day, index) => (index === days.length - 1 ? Number(amount) : null));
    draw("summed", data.budget && Number(data.budget[1]),
      [line("--cost"), line("--forecast", [6, 4]), ...(data.end ?? []).map(() => edge)],
      [soFar, ahead, ...(data.end ?? []).map(atEnd)], saySum, { hooks: { draw: [markEnd] } });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.redraw()));
  addEventListener("beforeprint", () => {
    root.dataset.printing = "";
    charts.forEach((chart) => chart.setSize(PRINTED));
  });
  addEventListener("afterprint", () => {
    delete root.dataset.printing;
    charts.forEach((chart) => {
      const { clientWidth: width, clientHeight: height } = chart.root.parentElement;
      chart.setSize({ width, height });
    });
  });

  // A table that is not wider or longer than its region needs no stop of its own on the way by keyboard.
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const isScrolled = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      if (isScrolled) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll(".scroll").forEach((region) => watch.observe(region));
})();
