// Updates the parts of the page that the server reports as changed. Without it the page reloads itself.
"use strict";
(() => {
  const places = new Map([...document.querySelectorAll("[data-part]")].map((place) => [place.dataset.part, place]));
  const status = document.querySelector("[data-live]");
  const pause = document.querySelector("[data-pause]");
  let source = null, failures = 0, timer = 0, hiddenTimer = 0;

  const say = (words) => { if (status) { status.hidden = false; status.textContent = words; } };

  // Keeps the focus: the element is found again by its index among the focusable ones.
  const put = (place, html) => {
    const able = () => [...place.querySelectorAll("a, button, summary, input")];
    const at = able().indexOf(document.activeElement);
    place.innerHTML = html;
    if (at >= 0) able()[at]?.focus({ preventScroll: true });
  };

  const open = () => {
    close();
    source = new EventSource(document.body.dataset.stream);
    source.addEventListener("parts", (event) => {
      failures = 0;
      say("· live");
      for (const [name, html] of Object.entries(JSON.parse(event.data))) {
        const place = places.get(name);
        if (place) put(place, html);
      }
    });
    source.onerror = () => {
      say("· reconnecting");
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      failures += 1;
      timer = setTimeout(open, Math.min(30, 2 ** failures) * 1000 * (0.75 + Math.random() / 2));
    };
  };
  const close = () => { clearTimeout(timer); source?.close(); source = null; };

  const paused = () => pause?.getAttribute("aria-pressed") === "true";
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      pause.setAttribute("aria-pressed", String(!paused()));
      pause.textContent = paused() ? "Resume" : "Pause";
      if (paused()) { close(); say("· paused"); } else open();
    });
  }
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(close, 60000);
    else if (!source && !paused()) open();
  });
  addEventListener("pageshow", (event) => { if (event.persisted && !paused()) open(); });
  open();
})();
