// The picture beside sign-in: a hub, its members, and the links between them. Decoration only.

const HUB = { x: 400, y: 300 };
const RINGS = [110, 200, 290, 380];
const MEMBERS = [
  { ring: 0, angle: -52, size: 4 },
  { ring: 0, angle: 128, size: 4 },
  { ring: 1, angle: 18, size: 5 },
  { ring: 1, angle: 203, size: 4 },
  { ring: 1, angle: 282, size: 5 },
  { ring: 2, angle: 68, size: 4 },
  { ring: 2, angle: 158, size: 5 },
  { ring: 2, angle: 326, size: 4 },
  { ring: 3, angle: 40, size: 4 },
  { ring: 3, angle: 232, size: 5 },
].map(({ ring, angle, size }) => {
  const radius = RINGS[ring] ?? 0;
  const radians = (angle * Math.PI) / 180;
  return { size, x: HUB.x + radius * Math.cos(radians), y: HUB.y + radius * Math.sin(radians) };
});

export function FleetDrawing() {
  return (
    <svg
      aria-hidden
      className="absolute inset-0 size-full"
      viewBox="0 0 800 800"
      preserveAspectRatio="xMidYMid slice"
      fill="none"
    >
      <g className="stroke-line" strokeWidth="1">
        {RINGS.map((radius) => (
          <circle key={radius} cx={HUB.x} cy={HUB.y} r={radius} />
        ))}
        {Array.from({ length: 72 }, (_, index) => {
          const radians = (index * 5 * Math.PI) / 180;
          const inner = index % 6 === 0 ? 366 : 374;
          return (
            <line
              key={index}
              x1={HUB.x + inner * Math.cos(radians)}
              y1={HUB.y + inner * Math.sin(radians)}
              x2={HUB.x + 380 * Math.cos(radians)}
              y2={HUB.y + 380 * Math.sin(radians)}
            />
          );
        })}
      </g>
      <g className="stroke-line-strong" strokeWidth="1">
        {MEMBERS.map(({ x, y }) => (
          <line key={`${x}`} x1={HUB.x} y1={HUB.y} x2={x} y2={y} strokeDasharray="2 5" />
        ))}
      </g>
      {MEMBERS.map(({ x, y, size }, index) => (
        <g key={`${x}`}>
          <circle cx={x} cy={y} r={size + 7} className="fill-well stroke-line-strong" />
          <circle cx={x} cy={y} r={size} className={index === 4 ? "fill-warn" : "fill-good"} />
        </g>
      ))}
      <circle cx={HUB.x} cy={HUB.y} r="30" className="fill-surface stroke-line-strong" />
      <circle cx={HUB.x} cy={HUB.y} r="11" className="fill-accent" />
      <circle cx={HUB.x} cy={HUB.y} r="19" className="animate-breathe-a-while stroke-accent" strokeWidth="1.5" />
    </svg>
  );
}
