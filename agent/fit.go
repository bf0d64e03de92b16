package agent

import (
	"strings"
	"unicode/utf8"
)

// maxText is what a summary and a text of a check run, and the body of a comment,
// may have at most. GitHub counts characters; bytes are never fewer.
//
// https://docs.github.com/en/rest/checks/runs#create-a-check-run
const maxText = 65_535

// passage is a part of a text. What it quotes may be cut, oldest lines first,
// where the whole is too long; what stands around it never is.
type passage struct {
	before string
	quoted string // in a code block; empty: the passage has none
	after  string
}

// words is a passage of our own words.
func words(text string) passage { return passage{before: text} }

// folded is a quotation below a heading that opens it; open says that it is open
// from the start. Of an empty one nothing is shown.
func folded(title, quoted string, open bool) passage {
	if strings.TrimSpace(quoted) == "" {
		return passage{}
	}
	tag := "<details>"
	if open {
		tag = "<details open>"
	}
	return passage{before: tag + "<summary>" + heading(title) + "</summary>\n\n", quoted: quoted, after: "\n\n</details>\n\n"}
}

func (p passage) String() string {
	if p.quoted == "" {
		return p.before + p.after
	}
	return p.before + fenced(p.quoted) + p.after
}

// fit joins passages to at most limit bytes, if their own words allow it: of the
// first quotation the oldest lines go first, then all of it, then those of the
// next.
func fit(limit int, passages ...passage) string {
	over := -limit
	for _, p := range passages {
		over += len(p.String())
	}
	for i := range passages {
		p := &passages[i]
		for over > 0 && p.quoted != "" {
			was := len(p.String())
			if p.quoted = newest(p.quoted, len(p.quoted)-over); p.quoted == "" {
				*p = passage{}
			}
			over -= was - len(p.String())
		}
	}
	var b strings.Builder
	for _, p := range passages {
		b.WriteString(p.String())
	}
	return strings.TrimSpace(b.String())
}

// leftOut stands where lines were cut.
const leftOut = "… (earlier lines are left out: GitHub takes no more)\n"

// newest is the end of text in at most that many bytes, from the start of a line
// where it has one; nothing if there is no room.
func newest(text string, most int) string {
	most -= len(leftOut)
	if most <= 0 {
		return ""
	}
	end := text[len(text)-min(most, len(text)):]
	if at := strings.IndexByte(end, '\n'); at >= 0 && at < len(end)-1 {
		end = end[at+1:]
	}
	for !utf8.RuneStart(end[0]) {
		end = end[1:]
	}
	return leftOut + end
}
