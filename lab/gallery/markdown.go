package gallery

import (
	"bytes"
	"fmt"
	"html/template"
	"regexp"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
)

// Markdown renders as GitHub does: GitHub-flavoured Markdown, then only the HTML
// that GitHub leaves in.
type Markdown struct {
	text, comment goldmark.Markdown
	allowed       *bluemonday.Policy
}

// NewMarkdown makes a renderer.
func NewMarkdown() Markdown {
	with := func(options ...goldmark.Option) goldmark.Markdown {
		return goldmark.New(append(options, goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithParserOptions(parser.WithAutoHeadingID()))...)
	}
	return Markdown{
		text: with(goldmark.WithRendererOptions(html.WithUnsafe())),
		// In comments the end of a line is one on the page.
		comment: with(goldmark.WithRendererOptions(html.WithUnsafe(), html.WithHardWraps())),
		allowed: allowed(),
	}
}

// allowed is the list that GitHub's own filter documents (gjtorikian/html-pipeline,
// SanitizationFilter), less what no text of ours could want.
func allowed() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("h1", "h2", "h3", "h4", "h5", "h6", "br", "b", "i", "strong", "em", "pre", "code", "tt", "div", "ins", "del", "sup", "sub", "p",
		"ol", "ul", "li", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "blockquote", "dl", "dt", "dd", "kbd", "q", "samp", "var", "hr", "s",
		"strike", "summary", "details", "caption", "abbr", "cite", "dfn", "mark", "small", "span", "time", "wbr")
	p.AllowAttrs("open").OnElements("details")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("td", "th", "p", "div")
	// goldmark aligns columns so; GitHub does by align.
	p.AllowStyles("text-align").MatchingEnum("left", "center", "right").OnElements("td", "th")
	p.AllowAttrs("href", "title").OnElements("a")
	p.AllowAttrs("src", "alt", "width", "height").OnElements("img")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	// The boxes of task lists.
	p.AllowAttrs("type").Matching(regexp.MustCompile(`^checkbox$`)).OnElements("input")
	p.AllowAttrs("checked", "disabled").OnElements("input")
	return p
}

// Text renders a check's text or a job summary.
func (m Markdown) Text(source string) (template.HTML, error) { return m.render(m.text, source) }

// Comment renders a comment.
func (m Markdown) Comment(source string) (template.HTML, error) { return m.render(m.comment, source) }

func (m Markdown) render(with goldmark.Markdown, source string) (template.HTML, error) {
	var out bytes.Buffer
	if err := with.Convert([]byte(source), &out); err != nil {
		return "", fmt.Errorf("rendering Markdown: %w", err)
	}
	return template.HTML(m.allowed.SanitizeBytes(out.Bytes())), nil
}
