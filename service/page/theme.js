/** Light, dark, or as the system has it. */

const CHOICES = {
  auto: { sign: "◐", name: "Colours: as the system has them" },
  light: { sign: "☀", name: "Colours: light" },
  dark: { sign: "☾", name: "Colours: dark" },
};
const STORED = "hamlet-colours";

/** Wire the button that goes from one to the next. */
export function startTheme(button) {
  let chosen = stored();
  const show = () => {
    document.documentElement.dataset.colours = chosen;
    button.textContent = CHOICES[chosen].sign;
    button.setAttribute("aria-label", CHOICES[chosen].name);
    button.title = CHOICES[chosen].name;
  };
  button.addEventListener("click", () => {
    const names = Object.keys(CHOICES);
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    try {
      localStorage.setItem(STORED, chosen);
    } catch {
      // A browser that stores nothing forgets the choice with the page.
    }
    show();
  });
  show();
}

function stored() {
  try {
    const name = localStorage.getItem(STORED);
    return name !== null && Object.hasOwn(CHOICES, name) ? name : "auto";
  } catch {
    return "auto";
  }
}
