// Updates an order's page live, and shows times in the reader's time zone. Without JavaScript the page reloads itself
// instead; with it, focus, selection and scroll position are kept.
(() => {
  "use strict";
  const clock = { hour: "2-digit", minute: "2-digit" };
  const day = { ...clock, day: "numeric", month: "long", year: "numeric" };
  const forms = { time: { ...clock, second: "2-digit" }, day, exactly: { ...day, second: "2-digit" } };
  const localise = (root) => root.querySelectorAll("time[data-clock]").forEach((time) => {
    time.textContent = new Date(time.dateTime).toLocaleString([], forms[time.dataset.clock]);
  });
  localise(document);
  const place = document.querySelector("[data-live]");
  if (!place) return;
  const line = document.querySelector("[data-line]");
  const [calm, urgent] = ["status", "alert"].map((role) => place.querySelector(`:scope > [role=${role}]`));
  const journey = () => place.querySelector(".journey");
  const url = place.dataset.live;
  let source = null, failures = 0, timer = 0, hiding = 0, over = false, etag = "", newsAt = new Date();
  let said = journey().dataset.say, saidAt = 0, saying = 0;

  const lastNews = () => newsAt.toLocaleTimeString([], clock);
  const tell = (text, state) => { line.textContent = text; line.parentElement.dataset.state = state; };

  // Changes only the nodes that differ, which keeps focus, selection and scroll position.
  const morph = (old, fresh) => {
    if (old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const wanted = [...fresh.childNodes]; // a copy: appending a child to `old` removes it from `fresh`
    wanted.forEach((child, i) => (old.childNodes[i] ? morph(old.childNodes[i], child) : old.append(child)));
    while (old.childNodes.length > wanted.length) old.lastChild.remove();
  };

  // Announces to screen readers at most one sentence in three seconds: the newest, not all that were missed.
  const say = () => {
    const { say: text, tone } = journey().dataset;
    if (text === said || saying) return;
    saying = setTimeout(() => {
      saying = 0; saidAt = Date.now(); said = journey().dataset.say;
      (journey().dataset.tone === "failed" ? urgent : calm).textContent = said;
    }, Math.max(0, saidAt + 3000 - Date.now()));
  };
  const show = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const fresh = holder.content.querySelector(".journey");
    if (!fresh) return;
    localise(holder.content);
    morph(journey(), fresh);
    newsAt = new Date();
    document.title = document.title.replace(/^.*(?= · )/, () => journey().dataset.heading);
    say();
  };

  const close = () => { clearTimeout(timer); timer = 0; source?.close(); source = null; };
  const stop = (text) => { over = true; close(); tell(text, "over"); };
  const rest = () => stop(`Up to date as of ${lastNews()}.`);
  const logIn = () => {
    stop("");
    const link = document.createElement("a");
    link.href = place.dataset.logIn;
    link.textContent = "Log in again to follow this order";
    line.append(link);
  };
  const again = (seconds) => { timer ||= setTimeout(() => { timer = 0; open(); }, seconds * 1000); };

  const poll = async () => {
    const answer = await fetch(url, { headers: { Accept: "text/html", ...(etag && { "If-None-Match": etag }) }, cache: "no-store" })
      .catch(() => null);
    if (answer?.status === 401) logIn();
    else if (answer?.status === 404) stop("This order is no longer available.");
    else if (answer?.status === 304 || answer?.ok) {
      etag = answer.headers.get("ETag") ?? "";
      if (answer.ok) show(await answer.text());
      newsAt = new Date();
      tell(`As of ${lastNews()}. Checking again soon.`, "lost");
      if (journey().dataset.resting === "yes") rest();
    }
  };
  const lost = async (refused) => {
    close();
    failures += 1;
    tell(`Reconnecting – last update ${lastNews()}.`, "lost");
    if (refused || failures > 3) await poll(); // EventSource does not expose the status of a failed response
    if (!over && !document.hidden) again(Math.min(2 ** failures, 30) * (0.8 + 0.4 * Math.random()));
  };
  const open = () => {
    if (over || source) return;
    source = new EventSource(`${url}?after=${journey().dataset.seq}`);
    const mine = source;
    source.onopen = () => { failures = 0; tell("Live", "live"); };
    source.onmessage = (event) => show(event.data);
    source.addEventListener("reset", (event) => show(event.data));
    source.addEventListener("end", rest);
    source.addEventListener("farewell", (event) => {
      close();
      if (event.data === "log in") logIn(); else again(0.5 + Math.random());
    });
    source.onerror = () => { if (mine === source) lost(mine.readyState === EventSource.CLOSED); };
  };
  const back = () => { clearTimeout(hiding); if (!over && !source) { close(); failures = 0; open(); } };

  if (journey().dataset.resting === "yes") { rest(); return; }
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, 60000); else back();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", back);
  addEventListener("online", back);
  back();
})();
