/**
 * The canvas of the chart: a thin shell around lightweight-charts (Apache-2.0, TradingView), which is
 * loaded as a chunk of its own. It knows nothing of the client.
 *
 * The library's logo is off, because it writes a style element, which the policy of the pages refuses;
 * the notice below the chart takes its place.
 */

import type { Bar } from "@tapewire/client";
import {
  CandlestickSeries,
  ColorType,
  createChart,
  createSeriesMarkers,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";

import { type ChartMarker, epochSeconds, placesOf } from "./chart-data.js";

/** The part of the canvas that the volume takes, at the bottom. */
const VOLUME_TOP = 0.82;

const MAX_MARKER_TEXTS = 8;

/** Bars of room between the newest bar and the axis, for the texts of its markers. */
const RIGHT_BARS = 8;

export interface CanvasWords {
  /** Epoch seconds to a text of the axis and of the crosshair. */
  readonly time: (seconds: number) => string;
  readonly price: (price: number) => string;
}

export class ChartCanvas {
  readonly #chart: IChartApi;
  readonly #candles: ISeriesApi<"Candlestick">;
  readonly #volume: ISeriesApi<"Histogram">;
  readonly #markers: ISeriesMarkersPluginApi<Time>;
  readonly #element: HTMLElement;
  #bars: readonly Bar[] = [];
  #places = 2;
  #shownMarkers: readonly ChartMarker[] = [];

  constructor(element: HTMLElement, words: CanvasWords) {
    this.#element = element;
    this.#chart = createChart(element, {
      autoSize: true,
      layout: {
        attributionLogo: false,
        background: { type: ColorType.Solid, color: "transparent" },
      },
      timeScale: {
        timeVisible: true,
        secondsVisible: true,
        rightOffset: RIGHT_BARS,
        tickMarkFormatter: (time: Time) => words.time(time as number),
      },
      localization: {
        timeFormatter: (time: Time) => words.time(time as number),
        priceFormatter: (price: number) => words.price(Number(price.toFixed(this.#places))),
      },
      handleScale: { axisPressedMouseMove: true },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {});
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" },
      priceScaleId: "volume",
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: VOLUME_TOP, bottom: 0 } });
    this.#candles
      .priceScale()
      .applyOptions({ scaleMargins: { top: 0.08, bottom: 1 - VOLUME_TOP + 0.04 } });
    this.#markers = createSeriesMarkers(this.#candles, []);
    this.applyTheme();
  }

  /** Take the colours of the page, such as after a change of its theme. */
  applyTheme(): void {
    const line = this.#colour("--line");
    this.#chart.applyOptions({
      layout: {
        textColor: this.#colour("--soft"),
        fontFamily: getComputedStyle(this.#element).fontFamily,
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    const [up, down] = [this.#colour("--up"), this.#colour("--down")];
    this.#candles.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      borderUpColor: up,
      borderDownColor: down,
    });
    this.#volume.applyOptions({ color: line });
    this.showMarkers(this.#shownMarkers);
  }

  /** The colour of a custom property in the present theme; the canvas knows no `light-dark()`. */
  #colour(property: string): string {
    const probe = document.createElement("span");
    probe.style.color = `var(${property})`;
    this.#element.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  /** Show a series. While only the last bars change, the rest is not drawn anew. */
  show(bars: readonly Bar[]): void {
    const before = this.#bars;
    this.#bars = bars;
    this.#setPlaces(placesOf(bars));
    const isSameSeries =
      before.length > 0 && before[0]?.start === bars[0]?.start && bars.length >= before.length;
    if (!isSameSeries) {
      this.#candles.setData(bars.map(candleOf));
      this.#volume.setData(bars.map(volumeOf));
      return;
    }
    for (let index = before.length - 1; index < bars.length; index += 1) {
      const bar = bars[index];
      if (bar === undefined || bar === before[index]) continue;
      this.#candles.update(candleOf(bar));
      this.#volume.update(volumeOf(bar));
    }
  }

  #setPlaces(places: number): void {
    if (places === this.#places) return;
    this.#places = places;
    const priceFormat = { type: "price" as const, precision: places, minMove: 10 ** -places };
    this.#candles.applyOptions({ priceFormat });
  }

  showMarkers(markers: readonly ChartMarker[]): void {
    this.#shownMarkers = markers;
    this.#markers.setMarkers(
      markers.map(({ time, kind, side, text, id }) => ({
        time: time as UTCTimestamp,
        position: side === "buy" ? ("belowBar" as const) : ("aboveBar" as const),
        shape:
          kind === "signal"
            ? ("circle" as const)
            : side === "buy"
              ? ("arrowUp" as const)
              : ("arrowDown" as const),
        color: this.#colour(kind === "signal" ? "--link" : side === "buy" ? "--up" : "--down"),
        // The texts of many markers would cover each other and the bars.
        text: markers.length <= MAX_MARKER_TEXTS ? text : "",
        id,
      })),
    );
  }

  /** Move the shown part by bars; positive numbers go to newer ones. */
  move(bars: number): void {
    const scale = this.#chart.timeScale();
    scale.scrollToPosition(scale.scrollPosition() + bars, false);
  }

  /** Show fewer bars (above 1) or more (below 1). */
  zoom(factor: number): void {
    const scale = this.#chart.timeScale();
    scale.applyOptions({
      barSpacing: Math.min(60, Math.max(1, scale.options().barSpacing * factor)),
    });
  }

  showNewest(): void {
    this.#chart.timeScale().scrollToRealTime();
  }

  remove(): void {
    this.#chart.remove();
  }
}

function candleOf({ start, open, high, low, close }: Bar) {
  return { time: epochSeconds(start) as UTCTimestamp, open, high, low, close };
}

function volumeOf({ start, volume }: Bar) {
  return { time: epochSeconds(start) as UTCTimestamp, value: volume };
}
