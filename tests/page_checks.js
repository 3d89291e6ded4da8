(() => {
  // A canvas turns any colour, such as that of `color-mix`, into sRGB.
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });

  function rgba(colour) {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  function over([red, green, blue, alpha], below) {
    return [red, green, blue].map((part, index) => part * alpha + below[index] * (1 - alpha));
  }

  function behind(element) {
    if (!element) {
      return [255, 255, 255];
    }
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  }

  // Relative luminance and contrast ratio of WCAG 2.2.
  function luminance(rgb) {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = rgb.map((part) => linear(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function isSeen(element) {
    return element.checkVisibility() && !element.closest(".visually-hidden, .skip");
  }

  function words(text) {
    return text.replace(/\s+/g, " ").trim();
  }

  function texts() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (words(data) && isSeen(parentElement)) {
        const below = behind(parentElement);
        const colour = over(rgba(getComputedStyle(parentElement).color), below);
        found.push({ text: words(data), contrast: contrast(colour, below) });
      }
    }
    return found;
  }

  function focused() {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const { top, bottom } = element.getBoundingClientRect();
    const around = parseFloat(style.outlineOffset) < 0 ? element : element.parentElement;
    return {
      name: words(element.textContent),
      outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
      contrast: contrast(rgba(style.outlineColor).slice(0, 3), behind(around)),
      inView: top >= 0 && bottom <= innerHeight,
    };
  }

  function outside() {
    const isOutside = ({ left, right }) => left < 0 || right > innerWidth + 0.5;
    return [...document.querySelectorAll("body *")]
      .filter((element) => isSeen(element) && !element.closest("pre") && isOutside(element.getBoundingClientRect()))
      .map((element) => element.outerHTML.slice(0, 80));
  }

  function shifts() {
    return new Promise((done) => {
      let sum = 0;
      const add = (list) => list.getEntries().forEach((entry) => { sum += entry.value; });
      new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
      requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum))));
    });
  }

  return { texts, focused, outside, shifts, lightness: () => luminance(behind(document.body)) };
})()
