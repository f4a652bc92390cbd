/* SPDX-License-Identifier: Apache-2.0 */
import 'element-plus/dist/index.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles/base.css'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n, lang, setLang } from './i18n'
import { startTheme } from './live/theme'
import { startTitle } from './live/title'
import { router } from './router'
import { useElements } from './elements'

setLang(lang())
startTheme()
startTitle()
const app = createApp(App)
useElements(app)
app.use(i18n).use(router).mount('#app')
