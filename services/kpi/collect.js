/* opswire beacon: no cookies; silent under Do Not Track/GPC. */
(function (w, d, n) {
  var data = d.currentScript.dataset, host = new URL(d.currentScript.src).origin, none = function () {};
  var types = { cart: "cart.added", uncart: "cart.removed", favorite: "product.favorited", checkout: "checkout.started" };
  var api = (w.opswire = { page: none, flush: none }), queue = [], timer, kind;
  for (kind in types) api[kind] = none;
  if (n.doNotTrack == 1 || w.doNotTrack == 1 || n.globalPrivacyControl || !data.key) return;
  var url = (data.endpoint || host) + "/v1/collect?key=" + encodeURIComponent(data.key);

  function id() {
    var c = w.crypto;
    return c && c.randomUUID ? c.randomUUID() : "r" + Date.now() + "-" + (Math.random() + "" + Math.random()).replace(/0\./g, "");
  }
  function keep(where, key) {
    var value = id();
    try {
      value = w[where].getItem(key) || value;
      w[where].setItem(key, value);
    } catch (e) {}
    return value;
  }
  function touch() {
    var q = new URLSearchParams(location.search), from = d.referrer && new URL(d.referrer).hostname;
    var medium = q.get("utm_medium") || "", source = q.get("utm_source");
    if (!source && !medium && from == location.hostname) return {};
    return {
      channel: /cpc|ppc|paid|ads?$|display/i.test(medium) ? "paid"
        : /social/i.test(medium) || /(^|\.)(weibo|douyin|xiaohongshu|facebook|instagram|tiktok|twitter|x|t)\.com?$/.test(from) ? "social"
        : /organic/i.test(medium) || /(^|\.)(baidu|google|bing|sogou|so|yahoo|duckduckgo|yandex)\./.test(from) ? "natural_search"
        : source ? "other" : from ? "referral" : "direct",
      source: source || from || void 0,
      campaign: q.get("utm_campaign") || void 0
    };
  }
  var base = Object.assign({ visitor_id: keep("localStorage", "opswire"), session_id: keep("sessionStorage", "opswire") }, touch());

  function add(type, more) {
    queue.push({ at: performance.now(), event: Object.assign({ id: id(), type: type }, base, more) });
    if (queue.length > 19) flush();
    else timer = timer || setTimeout(flush, 2000);
  }
  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (!queue.length) return;
    var body = JSON.stringify(queue.splice(0).map(function (e) {
      return Object.assign(e.event, { age_ms: Math.round(performance.now() - e.at) });
    }));
    if (!n.sendBeacon(url, body)) fetch(url, { method: "POST", body: body, keepalive: true, credentials: "omit" }).catch(none);
  }
  api.flush = flush;
  api.page = function (more) {
    add("page.viewed", Object.assign({ url_path: location.pathname, page_kind: data.pageKind || "other", sku: data.sku }, more));
  };
  Object.keys(types).forEach(function (kind) {
    api[kind] = function (what) { add(types[kind], what && what.big ? { sku: what } : { lines: what }); };
  });
  d.addEventListener("visibilitychange", function () { d.visibilityState == "hidden" && flush(); });
  w.addEventListener("pagehide", flush);
  if (data.auto != "off") api.page();
})(window, document, navigator);
