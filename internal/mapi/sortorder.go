package mapi

import "fmt"

// SortDirection is a sort key's direction (MS-OXCDATA 2.13.1). Its numbers are the specification's.
type SortDirection uint8

// The directions.
const (
	SortAscending  SortDirection = 0x00
	SortDescending SortDirection = 0x01
	// SortMaximumCategory orders the categories of the key before it by the largest value of this one in each.
	SortMaximumCategory SortDirection = 0x04
)

// SortOrder is one key of a table's order.
type SortOrder struct {
	Tag       Tag           `wire:"1"`
	Direction SortDirection `wire:"2"`
}

// SortOrderSet is a table's order (MS-OXCDATA 2.13.2): keys, of which the first Categories make groups under headings,
// and the first Expanded of those are open.
type SortOrderSet struct {
	Orders     []SortOrder `wire:"1"`
	Categories uint16      `wire:"2"`
	Expanded   uint16      `wire:"3"`
}

// MaxSortOrders bounds the keys of an order.
const MaxSortOrders = 32

// Check holds s against MS-OXCTABL 2.2.2.3: the categories are among the keys and the open ones among the categories,
// at most one key spreads a list over rows, and a SortMaximumCategory follows the category that it orders.
func (s SortOrderSet) Check() error {
	if len(s.Orders) > MaxSortOrders {
		return fmt.Errorf("%d sort keys: %w", len(s.Orders), ErrTooComplex)
	}
	maxima, spread := 0, 0
	for i, o := range s.Orders {
		if o.Tag.Type()&MultiInstance != 0 {
			spread++
		}
		switch o.Direction {
		case SortAscending, SortDescending:
		case SortMaximumCategory:
			maxima++
			if i == 0 || i > int(s.Categories)+maxima-1 || s.Orders[i-1].Direction == SortMaximumCategory {
				return fmt.Errorf("key %d orders no category: %w", i, ErrTooComplex)
			}
		default:
			return fmt.Errorf("sort direction %#x: %w", uint8(o.Direction), ErrTooComplex)
		}
	}
	if int(s.Categories)+maxima > len(s.Orders) || s.Expanded > s.Categories || spread > 1 {
		return fmt.Errorf("%d categories, %d open, %d lists spread, of %d keys: %w", s.Categories, s.Expanded, spread, len(s.Orders), ErrTooComplex)
	}
	return nil
}

// Compare orders two objects by the keys, absent values first; keys that order categories by their largest value are
// the table's matter and are passed over.
func (s SortOrderSet) Compare(a, b Getter) int {
	for _, o := range s.Orders {
		if o.Direction == SortMaximumCategory {
			continue
		}
		order := CompareForSort(lookup(a, o.Tag), lookup(b, o.Tag))
		if o.Direction == SortDescending {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}
