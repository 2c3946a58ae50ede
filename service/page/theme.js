// Runs before the page is drawn, so that it is never drawn in the other colours first.
const chosen = localStorage.getItem("quoteline-theme");
if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("quoteline-theme", theme);
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
});
