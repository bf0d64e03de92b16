package cluster

import (
	"strings"
	"unicode/utf8"
)

// ellipsis stands where text was cut off.
const ellipsis = "…"

// cut returns text in at most limit bytes of valid UTF-8; what is cut off is at
// the end.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// cutHead returns text in at most limit bytes of valid UTF-8; what is cut off is
// at the beginning, in whole lines where there are any.
func cutHead(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	start := len(text) - (limit - len(ellipsis) - 1)
	for start < len(text) && !utf8.RuneStart(text[start]) {
		start++
	}
	if line := strings.IndexByte(text[start:], '\n'); line >= 0 && line < len(text)-start-1 {
		start += line + 1
	}
	return ellipsis + "\n" + text[start:]
}
