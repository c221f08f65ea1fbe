import { Box, Text } from "ink";
import { memo, type ReactNode } from "react";
import { isTooSmall } from "../model/layout.js";
import { MIN_SIZE, type State } from "../model/state.js";
import { fit } from "../text.js";
import { agentLines, keyLine, ruleLine, statusLine, titleLine } from "./chrome.js";
import { dialogPanel } from "./dialog.js";
import type { Paint } from "./paint.js";
import { headLine, tableLines } from "./table.js";

/** The whole screen, a pure function of the state: lines are made here, Ink places them and writes what changed. */
export function Screen({ state, paint }: { state: State; paint: Paint }): ReactNode {
  const { cols, rows } = state.size;
  if (isTooSmall(state.size)) return <Lines lines={tooSmall(state)} />;
  const panel = dialogPanel(state, paint);
  return (
    <Box width={cols} height={rows} flexDirection="column" overflow="hidden">
      <Lines lines={[titleLine(state, paint), headLine(state, paint)]} />
      <Lines lines={tableLines(state, paint)} />
      <Lines lines={[ruleLine(state, paint), ...agentLines(state, paint)]} />
      <Lines lines={[statusLine(state, paint), keyLine(state, paint)]} />
      {panel && (
        <Box position="absolute" left={panel.left} top={panel.top}>
          <Lines lines={panel.lines} />
        </Box>
      )}
    </Box>
  );
}

/** Lines as they are; drawn again only when one of them changed. */
const Block = memo(function Block({ text }: { text: string }): ReactNode {
  return <Text wrap="truncate">{text}</Text>;
});

function Lines({ lines }: { lines: readonly string[] }): ReactNode {
  return (
    <Box flexShrink={0}>
      <Block text={lines.join("\n")} />
    </Box>
  );
}

function tooSmall({ size }: State): string[] {
  return [
    `convocate needs ${MIN_SIZE.cols}x${MIN_SIZE.rows};`,
    `this terminal is ${size.cols}x${size.rows}.`,
    "Make it larger, or Q to quit.",
  ]
    .slice(0, Math.max(1, size.rows))
    .map((text) => fit(text, size.cols));
}
