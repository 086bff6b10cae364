package authz

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Window is a span of time that comes again every week, such as Monday to Friday
// from 6:00 to 22:00. The zero Window is none.
type Window struct {
	text     string
	days     [7]bool       // by time.Weekday, on which the window opens
	from, to time.Duration // since midnight; to a later one if from is not before it
	location *time.Location
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWindow reads a window such as "mon-fri 06:00-22:00", "sat,sun
// 08:00-12:00" or "22:00-06:00" by the clocks of location. Without days it
// opens every day; one that ends before it begins ends on the day after.
func ParseWindow(text string, location *time.Location) (Window, error) {
	w := Window{text: text, location: location}
	days, hours, found := strings.Cut(text, " ")
	if !found {
		days, hours = "sun-sat", text
	}
	for span := range strings.SplitSeq(strings.ToLower(days), ",") {
		first, last, isSpan := strings.Cut(span, "-")
		if !isSpan {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return w, fmt.Errorf("no days: %q; they are written as mon-fri or sat,sun", span)
		}
		for d := from; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == to {
				break
			}
		}
	}
	from, to, found := strings.Cut(hours, "-")
	if !found {
		return w, fmt.Errorf("no hours: %q; they are written as 06:00-22:00", hours)
	}
	var err error
	if w.from, err = clock(from); err != nil {
		return w, err
	}
	if w.to, err = clock(to); err != nil {
		return w, err
	}
	if w.from == w.to || w.from == day {
		return w, errors.New("a window without end: leave the hours from 00:00-24:00, or the window out")
	}
	return w, nil
}

// String returns the window as it was written.
func (w Window) String() string { return w.text }

func weekday(name string) int {
	for i, d := range weekdays {
		if d == name {
			return i
		}
	}
	return -1
}

const day = 24 * time.Hour

// clock reads a time of day, 24:00 too.
func clock(text string) (time.Duration, error) {
	if text == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("no time of day: %q; it is written as 06:00", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Holds reports whether now is in the window.
func (w Window) Holds(now time.Time) bool {
	if w.location == nil {
		return false
	}
	now = now.In(w.location)
	today := now.Weekday()
	at := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute + time.Duration(now.Second())*time.Second
	if w.from < w.to {
		return w.days[today] && w.from <= at && at < w.to
	}
	yesterday := (today + 6) % 7
	return w.days[today] && w.from <= at || w.days[yesterday] && at < w.to
}
