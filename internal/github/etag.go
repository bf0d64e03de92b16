package github

import "sync"

// maxETagBytes bounds what is remembered for conditional requests; the oldest answers go first.
const maxETagBytes = 4 << 20

// etagCache remembers answers with their ETag: GitHub's 304 costs nothing of the primary rate limit.
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
type etagCache struct {
	mu      sync.Mutex
	answers map[string]answer
	order   []string // addresses, oldest first
	bytes   int
}

type answer struct {
	etag string
	body []byte
	more bool // it is a list that goes on
}

func (c *etagCache) lookup(address string) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[address]
	return a, ok
}

func (c *etagCache) store(address string, a answer) {
	if a.etag == "" || len(a.body) > maxBodyBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = map[string]answer{}
	}
	if old, ok := c.answers[address]; ok {
		c.bytes -= len(old.body)
	} else {
		c.order = append(c.order, address)
	}
	c.answers[address] = a
	c.bytes += len(a.body)
	for c.bytes > maxETagBytes && len(c.order) > 1 {
		c.bytes -= len(c.answers[c.order[0]].body)
		delete(c.answers, c.order[0])
		c.order = c.order[1:]
	}
}
