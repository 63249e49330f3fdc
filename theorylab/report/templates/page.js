"use strict";
(function () {
  const rows = Array.from(document.querySelectorAll("#overview tbody tr:not(.paper)"));
  const fields = ["paper", "mode", "verdict", "words"].map((name) => document.getElementById("by-" + name));
  const [paper, mode, verdict, words] = fields;
  const shown = document.getElementById("shown");

  function matches(row) {
    const text = row.textContent.toLowerCase();
    return (
      (!paper.value || row.parentNode.dataset.paper === paper.value) &&
      (!mode.value || row.dataset.mode === mode.value) &&
      (!verdict.value || row.dataset.verdict === verdict.value) &&
      words.value.toLowerCase().split(/\s+/).every((word) => text.includes(word))
    );
  }

  function apply() {
    let count = 0;
    for (const row of rows) {
      row.hidden = !matches(row);
      count += row.hidden ? 0 : 1;
    }
    for (const body of document.querySelectorAll("#overview tbody")) {
      body.hidden = !body.querySelector("tr:not(.paper):not([hidden])");
    }
    shown.textContent = count + " of " + rows.length + " claims";
  }

  document.documentElement.classList.add("js");
  for (const field of fields) field.addEventListener("input", apply);
  const form = document.querySelector(".filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  addEventListener("pageshow", apply); // a browser may restore what was chosen

  // What is folded would be lost on paper.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = Array.from(document.querySelectorAll("#findings details:not([open])"));
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of folded) part.open = false;
  });
})();
