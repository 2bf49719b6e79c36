// Applies the saved theme and language to <html> before anything is painted.
// The rest of the console reads and writes the same keys in lib/preferences.ts.
(function () {
  var root = document.documentElement;
  var theme = null;
  var language = null;
  try {
    theme = localStorage.getItem("acp.theme");
    language = localStorage.getItem("acp.language");
  } catch {
    // Storage may be denied; the system's choice is used then.
  }
  if (theme !== "light" && theme !== "dark") theme = null;
  if (language !== "en" && language !== "zh") language = /^zh\b/i.test(navigator.language) ? "zh" : "en";
  var dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  root.lang = language === "zh" ? "zh-CN" : "en";
})();
