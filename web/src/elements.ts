/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of Element Plus that are used, once: what is not listed is not in the bundle. */
import {
  ElAlert, ElBadge, ElButton, ElCheckbox, ElCheckboxGroup, ElConfigProvider, ElDatePicker, ElDescriptions, ElDescriptionsItem,
  ElDialog, ElDivider, ElDrawer, ElDropdown, ElDropdownItem, ElDropdownMenu, ElForm, ElFormItem, ElIcon, ElInput, ElInputNumber,
  ElLink, ElMenu, ElMenuItem, ElMenuItemGroup, ElOption, ElPopover, ElProgress, ElRadio, ElRadioButton, ElRadioGroup, ElSelect,
  ElSkeleton, ElStep, ElSteps, ElSubMenu, ElSwitch, ElTabPane, ElTabs, ElTag, ElTooltip, ElUpload,
} from 'element-plus'
import type { App } from 'vue'

const used = [
  ElAlert, ElBadge, ElButton, ElCheckbox, ElCheckboxGroup, ElConfigProvider, ElDatePicker, ElDescriptions, ElDescriptionsItem,
  ElDialog, ElDivider, ElDrawer, ElDropdown, ElDropdownItem, ElDropdownMenu, ElForm, ElFormItem, ElIcon, ElInput, ElInputNumber,
  ElLink, ElMenu, ElMenuItem, ElMenuItemGroup, ElOption, ElPopover, ElProgress, ElRadio, ElRadioButton, ElRadioGroup, ElSelect,
  ElSkeleton, ElStep, ElSteps, ElSubMenu, ElSwitch, ElTabPane, ElTabs, ElTag, ElTooltip, ElUpload,
]

export function useElements(app: App): void {
  for (const part of used) app.use(part)
}
