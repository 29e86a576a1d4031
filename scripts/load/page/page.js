// Draws the plots of the report. It runs in the browser, from inside the file, and makes no requests.
/* global document, getComputedStyle, matchMedia, ResizeObserver, uPlot */
const report = JSON.parse(document.getElementById('report').textContent)
const { timeline, operations } = report
const times = timeline.map(({ atSeconds }) => atSeconds)
const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
const requestNames = {
  'sign-in': 'sign-in',
  token: 'GET /token',
  me: 'GET /me',
  sessions: 'GET /me/sessions',
  refresh: 'refresh',
  logout: 'logout',
  'logout-everywhere': 'logout everywhere'
}

const perSecond = pick => timeline.map(point => (pick(point) ?? 0) / point.seconds)
const rounded = (value, digits) => value == null ? '–' : value.toLocaleString('en', { maximumFractionDigits: digits })
const percentile = inverse => rounded(100 - 100 / inverse, 5)

const wholeSteps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400]

/**
 * The plots, by the ids of their elements. A series has a label, the name of its color, its values and options of
 * uPlot.
 */
const plots = {
  throughput: () => ({
    unit: 'requests / s',
    // Nearly logarithmic, but with a zero, because some operations are a thousand times as frequent as others.
    yScale: { distr: 4, asinh: 1, range: (_, _least, most) => [0, (most || 1) * 1.3] },
    yAxis: {
      splits: (_, _axis, _least, most) =>
        [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000].filter(
          split => split <= most
        ),
      filter: (_, splits) => splits
    },
    series: Object.keys(operations).map((operation, index) => ({
      label: requestNames[operation], color: `c${index}`, values: perSecond(point => point.requests[operation])
    }))
  }),
  latency: () => ({
    unit: 'ms',
    isLogarithmic: true,
    series: [
      ['p50', 'c2'], ['p90', 'c0'], ['p99', 'c1'], ['max', 'c4']
    ].map(([name, color]) => ({
      label: name, color, values: timeline.map(({ latencyMs }) => latencyMs?.[name] ?? null)
    }))
  }),
  distribution: () => {
    const lines = [
      ['all', report.totals.distribution, 'text', 3],
      ...Object.entries(operations).map(([operation, { distribution }], index) => [
        requestNames[operation], distribution, `c${index}`, 1
      ])
    ]
    const longest = lines.reduce((longest, [, points]) => points.length > longest.length ? points : longest, [])
    return {
      unit: 'ms',
      isLogarithmic: true,
      x: longest.map((_, index) => 10 ** (index / 16)),
      xScale: { time: false, distr: 3 },
      xAxis: {
        label: 'percentile (%)',
        splits: () => longest.flatMap((_, index) => index % 16 === 0 ? [10 ** (index / 16)] : []),
        values: (_, splits) => splits.map(percentile),
        filter: (_, splits) => splits
      },
      xValue: inverse => `${percentile(inverse)} %`,
      series: lines.map(([label, points, color, width]) => ({
        label, color, width, points: { show: false }, values: longest.map((_, index) => points[index]?.[1] ?? null)
      }))
    }
  },
  statuses: () => ({
    unit: 'answers / s',
    series: [...new Set(timeline.flatMap(({ statuses }) => Object.keys(statuses)))]
      .sort()
      .map((status, index) => ({
        label: status, color: colorOfStatus(status, index), values: perSecond(point => point.statuses[status])
      }))
  }),
  checks: () => ({
    unit: 'answers / s',
    rightUnit: 'ms',
    series: [
      ...[
        ['refused', 'c2', 'refused'],
        ['accepted', 'c4', 'ACCEPTED'],
        ['unavailable', 'c1', '503'],
        ['inconclusive', 'c7', 'inconclusive']
      ].map(([verdict, color, label]) => ({ label, color, values: perSecond(point => point.checks[verdict]) })),
      {
        label: 'request to the last replica after, ms',
        color: 'c0',
        scale: 'right',
        dash: [4, 4],
        values: timeline.map(({ lastAskedMs }) => lastAskedMs ?? null)
      }
    ]
  })
}

function colorOfStatus (status, index) {
  if (/^2/.test(status)) return status === '200' ? 'c2' : 'c5'
  if (/^4/.test(status)) return index % 2 === 0 ? 'c1' : 'c6'
  return /^5/.test(status) ? 'c4' : 'c3'
}

function axis (label, more = {}) {
  return {
    label,
    labelSize: 22,
    stroke: color('faint'),
    grid: { stroke: color('grid'), width: 1 },
    ticks: { stroke: color('grid'), width: 1 },
    font: '12px system-ui',
    labelFont: '12px system-ui',
    ...more
  }
}

function draw (id) {
  const place = document.getElementById(id)
  const {
    unit, rightUnit, yScale, yAxis, isLogarithmic, x = times, xScale = { time: false },
    xAxis = { label: 'seconds since the start' }, xValue = value => value == null ? '–' : `${value} s`, series
  } = plots[id]()
  const digits = isLogarithmic ? 3 : 1
  // A single instant has no width, so the range is at least 1.
  const range = xScale.distr === 3 ? undefined : (_, least, most) => [least ?? 0, Math.max(most ?? 1, (least ?? 0) + 1)]
  const plot = new uPlot({ // eslint-disable-line new-cap
    width: place.clientWidth,
    height: 300,
    scales: {
      x: { ...xScale, ...range && { range } },
      y:
        (yScale ?? isLogarithmic)
          ? (yScale ?? { distr: 3 })
          : { range: (_, _least, most) => [0, (most || 1) * 1.08] },
      ...rightUnit && { right: { range: (_, _least, most) => [0, (most || 1) * 1.08] } }
    },
    axes: [
      axis(xAxis.label, { incrs: wholeSteps, ...xAxis, space: 60 }),
      axis(unit, {
        size: 62,
        ...yAxis,
        ...isLogarithmic && { values: (_, splits) => splits.map(value => value == null ? '' : rounded(value, 3)) }
      }),
      ...rightUnit ? [axis(rightUnit, { scale: 'right', side: 1, size: 62, grid: { show: false } })] : []
    ],
    series: [
      { label: xAxis.label, value: (_, value) => value == null ? '–' : xValue(value) },
      ...series.map(({ label, color: name, values: _values, ...more }) => ({
        label,
        stroke: color(name),
        width: 2,
        points: { fill: color('card') },
        value: (_, value) => rounded(value, digits),
        ...more
      }))
    ]
  }, [x, ...series.map(({ values }) => values)], place)
  return { place, plot }
}

let drawn = []
function drawAll () {
  for (const { plot } of drawn) plot.destroy()
  drawn = Object.keys(plots).map(draw)
}

drawAll()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll)
matchMedia('print').addEventListener('change', drawAll)
new ResizeObserver(() => {
  for (const { place, plot } of drawn) {
    if (place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: plot.height })
  }
}).observe(document.querySelector('main'))
