package action

import (
	"encoding/json"
	"net/url"
	"strings"
)

// The bounds of what a check says to a workflow.
const (
	maxMarkerBytes  = 4 << 10
	maxTitleBytes   = 500
	maxSummaryBytes = 32 << 10
	maxURLBytes     = 2 << 10
)

// bounded returns the check with foreign text cut to what a log can take.
func (c Check) bounded() Check {
	c.Title = strings.ToValidUTF8(c.Title[:min(len(c.Title), maxTitleBytes)], "")
	c.Summary = strings.ToValidUTF8(c.Summary[:min(len(c.Summary), maxSummaryBytes)], "")
	c.URL = webAddress(c.URL)
	c.Text = ""
	return c
}

// marker is what the agent tells the workflow in the check's text, as an HTML
// comment: <!-- inhaul: {"release":12,"url":"…"} -->.
type marker struct {
	Release  int    `json:"release"`
	Back     int    `json:"back"` // the release that served before
	URL      string `json:"url"`
	Restored int    `json:"restored"` // the release that a rollback brought back, and what that is
	Commit   string `json:"commit"`
	Image    string `json:"image"`
}

// parseMarker reads the last marker in text: what comes before it may quote an
// app's log, and nothing of an app comes after it. It returns the zero marker if
// there is none, or none that can be believed.
func parseMarker(text string) marker {
	const begin, end = "<!-- inhaul: ", " -->"
	at := strings.LastIndex(text, begin)
	if at < 0 {
		return marker{}
	}
	body, _, ended := strings.Cut(text[at+len(begin):], end)
	var m marker
	if !ended || len(body) > maxMarkerBytes || json.Unmarshal([]byte(body), &m) != nil || m.Release < 0 || m.Back < 0 || m.Restored < 0 {
		return marker{}
	}
	return m.bounded()
}

// bounded returns m without what cannot be believed.
func (m marker) bounded() marker {
	m.URL = webAddress(m.URL)
	if m.Restored == 0 || !commitShape.MatchString(m.Commit) || digestReference(m.Image, &m.Image) != nil {
		m.Restored, m.Commit, m.Image = 0, "", ""
	}
	return m
}

// webAddress returns text if it is an address for a browser, or nothing.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURLBytes || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
