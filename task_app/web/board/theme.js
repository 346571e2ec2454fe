// Runs before the first paint, so that nothing changes colour or place after it.
"use strict";

{
  const root = document.documentElement;
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  // Whether somebody was signed in here, which is no secret; the session itself is in a cookie that
  // no script can read.
  root.dataset.role = localStorage.getItem("role") ?? "member";
  root.dataset.view = new URLSearchParams(location.search).get("view") ?? "board";
  root.dataset.session = localStorage.getItem("session") === "yes" ? "yes" : "none";
}
